//! What a page shows of an output, held against what came.

/// Holds shown lines against an output: each must be there, in order. `…` stands for whatever is there; spaces count as one.
///
/// # Errors
///
/// The first shown line that is not there, after the one before it.
pub fn check(shown: &[String], output: &str) -> Result<(), String> {
    let mut lines = output.lines().map(squeezed);
    for wanted in shown.iter().map(|line| squeezed(line)).filter(|line| !line.is_empty() && line != "…") {
        if !lines.by_ref().any(|line| is_like(&wanted, &line)) {
            return Err(wanted);
        }
    }
    Ok(())
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the text is as the pattern says, with anything where that has `…`.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_must_come_in_order_and_dots_stand_for_anything() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let output = "reservation    0199e000\nstate          held\nrevision  1\n";
        assert_eq!(check(&lines("reservation  …\n…\nrevision 1"), output), Ok(()));
        assert_eq!(check(&lines("state held\nreservation …"), output), Err("reservation …".to_owned()));
        assert_eq!(check(&lines("state sold"), output), Err("state sold".to_owned()));
        assert!(is_like("a … c … e", "a b c d e") && !is_like("a … c", "a b c d") && !is_like("ab", "abc"));
    }
}
