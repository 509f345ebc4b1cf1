//! Being built (owner: format): until then names are remembered in memory only.

use crate::error::Error;
use crate::place::Position;

#[derive(Debug, Default)]
pub(crate) struct Manifest {
    names: Vec<(u32, String, Position)>,
}

impl Manifest {
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (u32, &str, Position)> {
        self.names.iter().map(|(id, name, cleared)| (*id, name.as_str(), *cleared))
    }

    pub(crate) fn declare(&mut self, name: &str, _is_synced: bool) -> Result<u32, Error> {
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX) + 1;
        self.names.push((id, name.to_owned(), Position::default()));
        Ok(id)
    }

    pub(crate) fn clear(&mut self, id: u32, at: Position, _now_ms: u64, _is_synced: bool) -> Result<(), Error> {
        self.names.iter_mut().filter(|(known, ..)| *known == id).for_each(|(_, _, cleared)| *cleared = at);
        Ok(())
    }
}
