//! Redis' glob patterns: `*`, `?`, `[a-z]`, `[^a]` and `\` before any byte.
//!
//! **Invariant:** matching costs at most pattern length times text length. Every part but `*` matches exactly one byte, so
//! only the last `*` ever needs to be tried again: patterns like `a*a*a*a*b` cannot make the matcher explode.

#[cfg(test)]
mod tests;

/// Whether upper and lower case ASCII letters are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Keys: every byte is itself.
    Sensitive,
    /// Settings and command names.
    Ignored,
}

impl Case {
    fn fold(self, byte: u8) -> u8 {
        match self {
            Case::Sensitive => byte,
            Case::Ignored => byte.to_ascii_lowercase(),
        }
    }
}

/// Whether the whole of `text` matches `pattern`. A class without its `]` ends where the pattern ends.
pub(crate) fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let (mut rest, mut at) = (pattern, 0);
    let mut retry: Option<(&[u8], usize)> = None;
    loop {
        if let Some((b'*', behind)) = rest.split_first() {
            if behind.is_empty() {
                return true;
            }
            retry = Some((behind, at));
            rest = behind;
            continue;
        }
        let step = text.get(at).and_then(|byte| match_one(rest, *byte, case));
        if let Some(behind) = step {
            rest = behind;
            at += 1;
            continue;
        }
        if at == text.len() && rest.is_empty() {
            return true;
        }
        // The last star takes one byte more.
        match retry {
            Some((behind, start)) if start < text.len() => {
                retry = Some((behind, start + 1));
                rest = behind;
                at = start + 1;
            }
            _ => return false,
        }
    }
}

/// Matches one byte against the first part of `pattern`, which is no star, and returns what follows the part.
fn match_one(pattern: &[u8], byte: u8, case: Case) -> Option<&[u8]> {
    let (first, behind) = pattern.split_first()?;
    let (literal, behind) = match (first, behind) {
        (b'?', _) => return Some(behind),
        (b'[', _) => return match_class(behind, byte, case),
        (b'\\', [escaped, behind @ ..]) => (escaped, behind),
        _ => (first, behind),
    };
    (case.fold(*literal) == case.fold(byte)).then_some(behind)
}

fn match_class(class: &[u8], byte: u8, case: Case) -> Option<&[u8]> {
    let (is_negated, mut rest) = match class {
        [b'^', behind @ ..] => (true, behind),
        _ => (false, class),
    };
    let mut is_member = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', behind @ ..] => {
                rest = behind;
                break;
            }
            [b'\\', escaped, behind @ ..] => {
                is_member |= *escaped == byte;
                behind
            }
            [from, b'-', to, behind @ ..] => {
                let (from, to) = (case.fold(*from), case.fold(*to));
                is_member |= (from.min(to)..=from.max(to)).contains(&case.fold(byte));
                behind
            }
            [literal, behind @ ..] => {
                is_member |= case.fold(*literal) == case.fold(byte);
                behind
            }
        };
    }
    (is_member != is_negated).then_some(rest)
}
