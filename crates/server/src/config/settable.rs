//! CONFIG GET and SET on the settings in force, in Redis' words.
//!
//! **Invariant:** a CONFIG SET changes all that it names or nothing.

use super::setting::{Change, Kind, Setting};
use super::value::Value;
use super::{Config, rows};
use crate::descriptors::make_room_for_clients;
use crate::error::{self, Error};
use parking_lot::Mutex;

/// One CONFIG SET at a time, so that taking a failed one back does not take another one's change back.
static SETTING: Mutex<()> = Mutex::new(());

impl Config {
    /// Names and values of the settings that `is_asked`, aliases included.
    pub(crate) fn matching(&self, is_asked: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        for (index, setting) in rows::all().filter(|(_, setting)| !setting.is_hidden) {
            let names = setting.names().filter(|name| is_asked(name));
            found.extend(names.map(|name| (name, self.shown(index, setting))));
        }
        found
    }

    /// Sets all `pairs`, or none.
    pub(crate) fn set_pairs(&self, pairs: &[(&[u8], &[u8])], is_local: bool) -> Result<(), Error> {
        let _alone = SETTING.lock();
        let mut named: Vec<(usize, &'static Setting)> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let shown = String::from_utf8_lossy(name);
            let found = rows::find(&shown).filter(|(_, setting)| !setting.is_hidden);
            let Some((index, setting)) = found else { return Err(error::unknown_setting(&shown)) };
            if setting.change == Change::AtStart {
                return Err(error::config_set_failed(&shown, "can't set immutable config"));
            }
            if setting.change == Change::Protected && !self.allows_protected(is_local) {
                return Err(error::config_set_failed(&shown, "can't set protected config"));
            }
            if named.iter().any(|(other, _)| *other == index) {
                return Err(error::config_set_failed(&shown, "duplicate parameter"));
            }
            named.push((index, setting));
        }
        let mut values = Vec::with_capacity(pairs.len());
        for ((index, setting), (name, text)) in named.iter().zip(pairs) {
            let value = self.parse_live(*index, setting, text);
            values.push(value.map_err(|why| error::config_set_failed(&String::from_utf8_lossy(name), &why))?);
        }
        for ((index, setting), value) in named.into_iter().zip(values) {
            self.store(index, setting, value);
        }
        Ok(())
    }

    fn parse_live(&self, index: usize, setting: &Setting, text: &[u8]) -> Result<Value, String> {
        let text = std::str::from_utf8(text).map_err(|_| "argument must be UTF-8".to_owned())?;
        let value = setting.parse(text, &self.shown(index, setting))?;
        match (setting.name, value) {
            ("maxclients", Value::Number(clients)) => room_for_clients(clients),
            ("dir", Value::Text(path)) => existing_directory(&path),
            ("save", Value::Text(text)) if setting.kind == Kind::Lines => {
                Ok(Value::Text(text.split_whitespace().collect::<Vec<_>>().join(" ")))
            }
            (_, value) => Ok(value),
        }
    }
}

/// `clients` as a value of `maxclients`, when the system can handle them.
fn room_for_clients(clients: i64) -> Result<Value, String> {
    let wanted = u64::try_from(clients).unwrap_or(0);
    match make_room_for_clients(wanted) {
        room if room < wanted => {
            Err(format!("The operating system is not able to handle the specified number of clients, try with {room}"))
        }
        _ => Ok(Value::Number(clients)),
    }
}

/// `path` made absolute, as a value of `dir`.
fn existing_directory(path: &str) -> Result<Value, String> {
    let absolute = std::fs::canonicalize(path).and_then(|path| std::fs::read_dir(&path).map(|_| path));
    match absolute.map(|path| path.into_os_string().into_string()) {
        Ok(Ok(path)) => Ok(Value::Text(path)),
        Ok(Err(_)) => Err("the path must be UTF-8".to_owned()),
        Err(error) => Err(format!("Changing directory: {}", error::io_text(&error))),
    }
}
