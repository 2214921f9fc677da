//! Hashes: short texts that are the same for the same content, in names and labels.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use serde_json::Value;

/// The letters of a real cluster's hashes, which spell no words.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a of 64 bits over texts; the offset basis and the prime are those of the algorithm's authors.
pub fn fnv(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The `pod-template-hash` of a template. It differs from a real cluster's, which hashes its own memory.
pub fn of_template(template: &Value, collisions: i64) -> String {
    spell::<9>(fnv(&[&template.to_string(), &collisions.to_string()]))
}

/// Five random letters for the end of a name; each state of the standard library's hasher has keys of its own.
pub fn suffix() -> String {
    spell::<5>(RandomState::new().build_hasher().finish())
}

fn spell<const LENGTH: usize>(mut bits: u64) -> String {
    let mut letter = || {
        let index = usize::try_from(bits % 27).unwrap_or_default();
        bits /= 27;
        char::from(LETTERS[index])
    };
    (0..LENGTH).map(|_| letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_templates_have_equal_hashes() {
        let template = json!({"spec": {"containers": [{"image": "a"}]}});
        let other = json!({"spec": {"containers": [{"image": "b"}]}});
        assert_eq!(of_template(&template, 0), of_template(&template.clone(), 0));
        assert_ne!(of_template(&template, 0), of_template(&other, 0));
        assert_ne!(of_template(&template, 0), of_template(&template, 1));
    }
}
