//! The YAML reader takes any text without a panic, and reads what the emitter prints of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::yaml;

fuzz_target!(|text: &str| {
    let Ok(documents) = yaml::read(text, "fuzz") else { return };
    for document in documents {
        let _ = document.to_json_1_1();
        if let Ok(value) = document.to_json() {
            let printed = yaml::emit(&value);
            // The reference prints `<<` without quotes, and other line breaks than `\n` as they are.
            if printed.contains("<<:") || printed.contains(['\u{85}', '\u{2028}', '\u{2029}']) {
                continue;
            }
            let again = yaml::read(&printed, "printed").expect("what is printed can be read");
            assert_eq!(again[0].to_json().as_ref(), Ok(&value));
        }
    }
});
