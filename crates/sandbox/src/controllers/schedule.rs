//! Schedule: the times of a CronJob, in the five fields of cron.
//!
//! The notation is that of crontab(5) with its names of months and days and the `@hourly` family; days of the month and of
//! the week are joined by "or" when both are restricted.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How far ahead a next time is looked for.
const HORIZON_DAYS: i64 = 366 * 8;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Which minutes, hours, days of the month, months and days of the week: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

// === impl Schedule ===

impl Schedule {
    /// Reads `*/5 * * * *` or `@hourly`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in the words of the parser that a real server uses.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            "" => return Err("empty spec string".to_owned()),
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let (count, list) = (fields.len(), fields.join(" "));
            return Err(format!("expected exactly 5 fields, found {count}: [{list}]"));
        };
        let weekdays = field(weekday, 0, 7, &DAYS, 0)?;
        Ok(Self {
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            // Sunday is 0 and 7.
            weekdays: weekdays & 0x7f | weekdays >> 7,
            any_day: day.starts_with(['*', '?']),
            any_weekday: weekday.starts_with(['*', '?']),
        })
    }

    /// The first time after another one, in a time zone.
    pub fn after(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = zone.to_datetime(time);
        let mut local = DateTime::from_parts(
            start.date(),
            jiff::civil::time(start.hour(), start.minute(), 0, 0),
        );
        local = local.checked_add(SignedDuration::from_mins(1)).ok()?;
        let end = local
            .checked_add(SignedDuration::from_hours(24 * HORIZON_DAYS))
            .ok()?;
        while local < end {
            if !self.has_day(local) {
                let next = local.date().tomorrow().ok()?;
                local = DateTime::from_parts(next, jiff::civil::time(0, 0, 0, 0));
            } else if !has(self.hours, local.hour()) {
                let start = DateTime::from_parts(local.date(), jiff::civil::time(local.hour(), 0, 0, 0));
                local = start.checked_add(SignedDuration::from_hours(1)).ok()?;
            } else if !has(self.minutes, local.minute()) {
                local = local.checked_add(SignedDuration::from_mins(1)).ok()?;
            } else {
                return zone.to_timestamp(local).ok();
            }
        }
        None
    }

    fn has_day(&self, local: DateTime) -> bool {
        let day = has(self.days, local.day());
        let weekday = has(self.weekdays, local.weekday().to_sunday_zero_offset());
        let fits = if self.any_day || self.any_weekday {
            day && weekday
        } else {
            day || weekday
        };
        has(self.months, local.month()) && fits
    }
}

fn has(set: u64, number: i8) -> bool {
    set & 1 << number != 0
}

/// Reads one field: a list of `*`, `a`, `a-b`, each with a step.
fn field(text: &str, least: u32, most: u32, names: &[&str], first: u32) -> Result<u64, String> {
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: u32 = step.parse().map_err(|_| bad_number(step))?;
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        let number = |text: &str| {
            let name = names.iter().position(|name| name.eq_ignore_ascii_case(text));
            let named = name
                .and_then(|index| u32::try_from(index).ok())
                .map(|index| index + first);
            named.map_or_else(|| text.parse::<u32>().map_err(|_| bad_number(text)), Ok)
        };
        let (from, to) = match range {
            "*" | "?" => (least, most),
            _ => match range.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None if part.contains('/') => (number(range)?, most),
                None => (number(range)?, number(range)?),
            },
        };
        if from < least {
            return Err(format!(
                "beginning of range ({from}) below minimum ({least}): {part}"
            ));
        }
        if to > most {
            return Err(format!("end of range ({to}) above maximum ({most}): {part}"));
        }
        if from > to {
            return Err(format!(
                "beginning of range ({from}) beyond end of range ({to}): {part}"
            ));
        }
        set |= (from..=to)
            .step_by(step as usize)
            .fold(0_u64, |set, bit| set | 1 << bit);
    }
    Ok(set)
}

fn bad_number(text: &str) -> String {
    format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_times() {
        for (schedule, after, wanted) in [
            ("*/5 * * * *", "2026-01-31T09:31:30Z", "2026-01-31T09:35:00Z"),
            ("0 0 * * *", "2026-01-31T09:30:00Z", "2026-02-01T00:00:00Z"),
            ("30 9 * * mon-fri", "2026-01-30T09:30:00Z", "2026-02-02T09:30:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 12 1 * 0", "2026-02-01T12:00:00Z", "2026-02-08T12:00:00Z"),
            ("@hourly", "2026-01-31T23:00:00Z", "2026-02-01T00:00:00Z"),
            ("0 0 * * 7", "2026-01-31T09:30:00Z", "2026-02-01T00:00:00Z"),
        ] {
            let parsed = Schedule::parse(schedule).unwrap();
            let next = parsed.after(after.parse().unwrap(), &TimeZone::UTC).unwrap();
            assert_eq!(next.to_string(), wanted, "{schedule}");
        }
        let never = Schedule::parse("0 0 31 2 *").unwrap();
        assert_eq!(never.after(Timestamp::UNIX_EPOCH, &TimeZone::UTC), None);
    }

    #[test]
    fn bad_schedules_are_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "x * * * *",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
