//! Percentiles: those of a trend against those that the real k6 computes of the same values, to the last digit.

use std::fmt::Write as _;
use std::process::Command;

use gitsync::verify::trend::Trend;

use crate::harness::binaries;

const RANKS: [&str; 8] = ["0", "25", "50", "90", "95", "99", "99.9", "100"];
const SIZES: [usize; 7] = [1, 2, 3, 10, 29, 1_000, 2_503];

#[test]
fn percentiles_are_k6s_to_the_last_digit() {
    let samples: Vec<Vec<f64>> = SIZES.iter().map(|size| mk_values(*size)).collect();
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("percentiles.js");
    std::fs::write(&script, mk_script(&samples)).unwrap();
    let output = Command::new(binaries::path("k6"))
        .args(["run", "--quiet"])
        .arg(&script)
        .env("K6_NO_USAGE_REPORT", "true")
        .env("K6_AUTO_EXTENSION_RESOLUTION", "false")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let told: Vec<(&str, f64)> = said
        .lines()
        .filter_map(|line| line.strip_prefix("> ")?.rsplit_once(' '))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let mut want = Vec::new();
    for (index, values) in samples.iter().enumerate() {
        let mut trend = Trend::default();
        values.iter().for_each(|value| trend.add(*value));
        for rank in RANKS {
            let value = trend.percentile(rank.parse().unwrap()).unwrap();
            want.push((format!("t{index} p({rank})"), value));
        }
    }
    let want: Vec<(&str, f64)> = want.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(told, want, "{}", String::from_utf8_lossy(&output.stderr));
}

/// Values that look like latencies, with all digits that a double has.
fn mk_values(size: usize) -> Vec<f64> {
    let value = |index: usize| {
        let place = (index as f64 * 0.618_033_988_749_894_9).fract();
        3.7 + place.powi(5) * 811.3
    };
    (0..size).map(value).collect()
}

fn mk_script(samples: &[Vec<f64>]) -> String {
    let ranks: Vec<String> = RANKS.iter().map(|rank| format!("'p({rank})'")).collect();
    let ranks = ranks.join(", ");
    let mut script = format!(
        "import {{ Trend }} from 'k6/metrics';\nexport const options = {{iterations: 1, summaryTrendStats: [{ranks}]}};\n"
    );
    let mut body = String::new();
    for (index, values) in samples.iter().enumerate() {
        writeln!(script, "const t{index} = new Trend('t{index}');").unwrap();
        // A double in its shortest form is read as the same double.
        writeln!(body, "  for (const value of {values:?}) t{index}.add(value);").unwrap();
    }
    let names: Vec<String> = (0..samples.len()).map(|index| format!("'t{index}'")).collect();
    let names = names.join(", ");
    write!(
        script,
        "export default () => {{\n{body}}};\n\
         export const handleSummary = (data) => {{\n  let text = '';\n  \
         for (const name of [{names}]) for (const rank of [{ranks}]) \
         text += `> ${{name}} ${{rank}} ${{data.metrics[name].values[rank]}}\\n`;\n  return {{stdout: text}};\n}};\n"
    )
    .unwrap();
    script
}
