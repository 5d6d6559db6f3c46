//! A request's path in its one spelling, before a policy is asked about it and before it is routed. Vault's own HTTP
//! server sends whoever asks for another spelling on to this one (Go's `ServeMux`).

/// The path without empty and `.` segments, and each `..` together with what it leaves; a slash at either end is
/// dropped.
pub(super) fn normal(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (given, one) in [
            ("cmp-pki/roles/x", "cmp-pki/roles/x"),
            ("cmp-pki//roles/x", "cmp-pki/roles/x"),
            ("/cmp-pki/./roles/x/", "cmp-pki/roles/x"),
            ("cmp-pki/sign/../roles/x", "cmp-pki/roles/x"),
            ("../../sys/seal", "sys/seal"),
            ("a/..b/...", "a/..b/..."),
            ("//", ""),
        ] {
            assert_eq!(normal(given), one, "{given}");
        }
    }

    proptest! {
        #[test]
        fn its_spelling_is_its_own(path in "[a-z./]{0,30}") {
            let one = normal(&path);
            prop_assert_eq!(normal(&one), one.clone());
            prop_assert!(!one.split('/').any(|segment| matches!(segment, "." | "..")));
        }
    }
}
