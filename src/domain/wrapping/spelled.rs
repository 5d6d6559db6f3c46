//! Letters that stand apart, one by one or in twos and threes, as somebody spells a text or gets it past a filter.

use zeroize::Zeroizing;

/// Fewer letters are an abbreviation or a few words.
const FEWEST: usize = 22;
/// Longer groups are words, or those that people write long texts in.
const LONGEST: usize = 3;

/// The texts that are spelled in `text`, put together.
pub(super) fn spelled(text: &str) -> Vec<Zeroizing<String>> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '=');
    let groups = text.split(|c| !is_letter(c)).filter(|group| !group.is_empty());
    let mut found = Vec::new();
    let mut whole = Zeroizing::new(String::new());
    let mut each = 0;
    for group in groups.chain([""]) {
        if group.len() == each {
            whole.push_str(group);
            continue;
        }
        // The last one may be shorter.
        if group.len() < each {
            whole.push_str(group);
        }
        // Pairs of hex digits are how everybody writes bytes, and are read as those.
        let is_hex = each == 2 && whole.bytes().all(|byte| byte.is_ascii_hexdigit());
        if whole.len() >= FEWEST && !is_hex {
            found.push(whole.clone());
        }
        whole.clear();
        each = match group.len() {
            n @ 1..=LONGEST => n,
            _ => 0,
        };
        if each > 0 {
            whole.push_str(group);
        }
    }
    found
}
