//! The table of settings: every row, by the section of the page that shows it.

use super::setting::Setting;
use super::{accepted, clients, memory, network, observing, persistence};

/// The section of what is kept and answered, and changes nothing.
pub(crate) const WITHOUT_EFFECT: &str = "Accepted without effect";

/// The sections, in the order of the page.
pub(crate) static SECTIONS: &[(&str, &[Setting])] = &[
    ("Network", network::ROWS),
    ("Clients", clients::ROWS),
    ("Memory and expiry", memory::ROWS),
    ("Persistence", persistence::ROWS),
    ("Logging and observing", observing::ROWS),
    ("Accepted with one value only", accepted::PROMISES),
    (WITHOUT_EFFECT, accepted::WITHOUT_EFFECT),
];

/// Number of rows.
pub(crate) const COUNT: usize = count();

const fn count() -> usize {
    let (mut count, mut section) = (0, 0);
    while section < SECTIONS.len() {
        count += SECTIONS[section].1.len();
        section += 1;
    }
    count
}

/// Index of the row called `name`, found while compiling: a name without a row does not compile.
pub(crate) const fn index_of(name: &str) -> usize {
    let (mut index, mut section) = (0, 0);
    while section < SECTIONS.len() {
        let rows = SECTIONS[section].1;
        let mut row = 0;
        while row < rows.len() {
            if is_same(rows[row].name.as_bytes(), name.as_bytes()) {
                return index;
            }
            index += 1;
            row += 1;
        }
        section += 1;
    }
    panic!("no setting has this name")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Every row with its index.
pub(crate) fn all() -> impl Iterator<Item = (usize, &'static Setting)> {
    SECTIONS.iter().flat_map(|(_, rows)| rows.iter()).enumerate()
}

/// The row that `name` names, by name or alias, in any case.
pub(crate) fn find(name: &str) -> Option<(usize, &'static Setting)> {
    all().find(|(_, setting)| setting.is_called(name))
}

/// The name nearest to one that no setting has, when it is near enough to be meant.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    all()
        .flat_map(|(_, setting)| setting.names())
        .map(|known| (strsim::damerau_levenshtein(&name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 2 + known.len() / 5)
        .map(|(_, known)| known)
}
