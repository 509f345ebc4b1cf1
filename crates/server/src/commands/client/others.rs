//! CLIENT on other connections: LIST, INFO, KILL, PAUSE, UNPAUSE, UNBLOCK.

use super::line::{self, Own};
use crate::arguments;
use crate::call::Call;
use crate::error::{self, Error, session};
use crate::registry::{ClientHandle, Unblock};

/// Every client is one of these to CLIENT LIST and KILL. Nobody replicates from or to this server, nobody subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Absent,
}

impl Kind {
    fn parse(word: &[u8]) -> Result<Kind, Error> {
        if arguments::is(word, "normal") {
            return Ok(Kind::Normal);
        }
        let is_known = ["slave", "replica", "master", "pubsub"].iter().any(|kind| arguments::is(word, kind));
        if is_known { Ok(Kind::Absent) } else { Err(session::unknown_client_type(word)) }
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<(), Error> {
    let registry = &call.shared.registry;
    let handles = match &call.args[2..] {
        [] => registry.list(),
        [option, kind] if arguments::is(option, "type") => match Kind::parse(kind)? {
            Kind::Normal => registry.list(),
            Kind::Absent => Vec::new(),
        },
        [option, ids @ ..] if arguments::is(option, "id") && !ids.is_empty() => {
            let ids = ids.iter().map(|id| arguments::parse_integer(id).ok_or(session::INVALID_CLIENT_ID));
            let ids = ids.collect::<Result<Vec<i64>, Error>>()?;
            ids.iter().filter_map(|id| registry.get(u64::try_from(*id).ok()?)).collect()
        }
        _ => return Err(error::SYNTAX),
    };
    call.client.publish();
    let now_ms = call.now_ms();
    let own = Own { id: call.client.id, args: call.args };
    let mut text = String::new();
    for handle in &handles {
        line::append(&mut text, handle, &own, &call.shared.tracking, now_ms);
    }
    call.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

pub(super) fn info(call: &mut Call<'_>) -> Result<(), Error> {
    call.client.publish();
    let mut text = String::new();
    let own = Own { id: call.client.id, args: call.args };
    line::append(&mut text, &call.client.handle, &own, &call.shared.tracking, call.now_ms());
    call.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Which clients CLIENT KILL means: all that every given filter describes.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    kind: Option<Kind>,
    spares_self: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: &[&'a [u8]]) -> Result<Filter<'a>, Error> {
        let mut filter = Filter { spares_self: true, ..Filter::default() };
        for pair in args.chunks(2) {
            let &[option, value] = pair else { return Err(error::SYNTAX) };
            if arguments::is(option, "id") {
                let id = arguments::parse_integer(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                filter.id = Some(id.ok_or(session::CLIENT_ID_NOT_POSITIVE)?);
            } else if arguments::is(option, "type") {
                filter.kind = Some(Kind::parse(value)?);
            } else if arguments::is(option, "addr") {
                filter.address = Some(value);
            } else if arguments::is(option, "laddr") {
                filter.local_address = Some(value);
            } else if arguments::is(option, "user") {
                // There is one user, so that naming it narrows nothing down.
                if value != b"default" {
                    return Err(session::no_such_user(value));
                }
            } else if arguments::is(option, "skipme") {
                filter.spares_self = match value {
                    word if arguments::is(word, "yes") => true,
                    word if arguments::is(word, "no") => false,
                    _ => return Err(error::SYNTAX),
                };
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(filter)
    }

    fn matches(&self, handle: &ClientHandle, own_id: u64) -> bool {
        self.id.is_none_or(|id| id == handle.id)
            && self.address.is_none_or(|address| address == handle.address.as_bytes())
            && self.local_address.is_none_or(|address| address == handle.local_address.as_bytes())
            && self.kind.is_none_or(|kind| kind == Kind::Normal)
            && !(self.spares_self && handle.id == own_id)
    }
}

pub(super) fn kill(call: &mut Call<'_>) -> Result<(), Error> {
    if let [_, _, address] = *call.args {
        let filter = Filter { address: Some(address), ..Filter::default() };
        if kill_matching(call, &filter) == 0 {
            return Err(session::NO_SUCH_CLIENT);
        }
        call.reply.ok();
        return Ok(());
    }
    let filter = Filter::parse(&call.args[2..])?;
    let killed = kill_matching(call, &filter);
    call.reply.integer(killed);
    Ok(())
}

/// Kills every client that `filter` describes and returns how many. The caller itself still gets its reply.
fn kill_matching(call: &mut Call<'_>, filter: &Filter<'_>) -> i64 {
    let own_id = call.client.id;
    let mut killed = 0;
    for handle in call.shared.registry.list().iter().filter(|handle| filter.matches(handle, own_id)) {
        if handle.id == own_id {
            call.client.close_after_reply = true;
            killed += 1;
        } else if call.shared.registry.kill(handle.id) {
            killed += 1;
        }
    }
    killed
}

pub(super) fn pause(call: &mut Call<'_>) -> Result<(), Error> {
    let holds_reads = match &call.args[3..] {
        [] => true,
        [mode] if arguments::is(mode, "write") => false,
        [mode] if arguments::is(mode, "all") => true,
        [_] => return Err(session::PAUSE_MODE),
        _ => return Err(session::subcommand_arguments("client", call.args[1])),
    };
    let now_ms = call.now_ms();
    let until_ms = deadline_ms(call.args[2], now_ms)?.unwrap_or(now_ms);
    call.shared.pause.start(until_ms, holds_reads, now_ms);
    call.reply.ok();
    Ok(())
}

/// The moment at which a timeout in milliseconds is over; `None` for 0, which some commands take for "never".
pub(crate) fn deadline_ms(timeout: &[u8], now_ms: u64) -> Result<Option<u64>, Error> {
    let timeout = arguments::parse_integer(timeout).ok_or(session::TIMEOUT_NOT_AN_INTEGER)?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| session::TIMEOUT_NEGATIVE)?;
    if timeout_ms == 0 {
        return Ok(None);
    }
    let deadline_ms = now_ms.checked_add(timeout_ms).filter(|at_ms| i64::try_from(*at_ms).is_ok());
    deadline_ms.map(Some).ok_or(session::TIMEOUT_OUT_OF_RANGE)
}

pub(super) fn unpause(call: &mut Call<'_>) -> Result<(), Error> {
    call.shared.pause.end();
    call.shared.registry.wake_all();
    call.reply.ok();
    Ok(())
}

pub(super) fn unblock(call: &mut Call<'_>) -> Result<(), Error> {
    let how = match &call.args[3..] {
        [] => Unblock::Timeout,
        [reason] if arguments::is(reason, "timeout") => Unblock::Timeout,
        [reason] if arguments::is(reason, "error") => Unblock::Error,
        [_] => return Err(session::UNBLOCK_REASON),
        _ => return Err(session::subcommand_arguments("client", call.args[1])),
    };
    let id = arguments::integer(call.args[2])?;
    let was_blocked = u64::try_from(id).is_ok_and(|id| call.shared.registry.unblock(id, how));
    call.reply.integer(i64::from(was_blocked));
    Ok(())
}
