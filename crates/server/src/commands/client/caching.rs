//! CLIENT TRACKING and its kin: what a connection wants to hear of the keys that it caches.

use crate::arguments;
use crate::call::Call;
use crate::client::Client;
use crate::error::{self, Error, session};
use crate::registry::HandleFlags;
use crate::server::Shared;
use crate::tracking::{Choice, Mode};
use scrubjay_resp::Reply;
use std::sync::Arc;

pub(super) fn tracking(call: &mut Call<'_>) -> Result<(), Error> {
    let wish = parse(call)?;
    if arguments::is(call.args[2], "on") {
        let mode = merge(call.client.tracking.as_deref(), wish)?;
        start(call, mode);
    } else if arguments::is(call.args[2], "off") {
        stop(call.shared, call.client);
    } else {
        return Err(error::SYNTAX);
    }
    call.reply.ok();
    Ok(())
}

/// What the options ask for, before it is held against what is on already.
#[derive(Default)]
struct Wish<'a> {
    redirect: Option<u64>,
    prefixes: Vec<&'a [u8]>,
    is_bcast: bool,
    is_optin: bool,
    is_optout: bool,
    is_noloop: bool,
}

fn parse<'a>(call: &Call<'a>) -> Result<Wish<'a>, Error> {
    let mut wish = Wish::default();
    let mut options = &call.args[3..];
    loop {
        options = match *options {
            [] => return Ok(wish),
            [option, id, ref rest @ ..] if arguments::is(option, "redirect") => {
                if wish.redirect.is_some() {
                    return Err(session::ONE_REDIRECT);
                }
                let id = u64::try_from(arguments::integer(id)?).ok();
                let target = id.and_then(|id| call.shared.registry.get(id)).ok_or(session::NO_REDIRECT)?;
                wish.redirect = Some(target.id);
                rest
            }
            [option, prefix, ref rest @ ..] if arguments::is(option, "prefix") => {
                wish.prefixes.push(prefix);
                rest
            }
            [option, ref rest @ ..] => {
                let switch = match option {
                    word if arguments::is(word, "bcast") => &mut wish.is_bcast,
                    word if arguments::is(word, "optin") => &mut wish.is_optin,
                    word if arguments::is(word, "optout") => &mut wish.is_optout,
                    word if arguments::is(word, "noloop") => &mut wish.is_noloop,
                    _ => return Err(error::SYNTAX),
                };
                *switch = true;
                rest
            }
        };
    }
}

/// The mode that `wish` makes of `current`, or why it cannot be.
fn merge(current: Option<&Mode>, wish: Wish<'_>) -> Result<Mode, Error> {
    if !wish.is_bcast && !wish.prefixes.is_empty() {
        return Err(session::PREFIX_WITHOUT_BCAST);
    }
    if current.is_some_and(|mode| mode.is_bcast != wish.is_bcast) {
        return Err(session::BCAST_SWITCH);
    }
    if wish.is_bcast && (wish.is_optin || wish.is_optout) {
        return Err(session::BCAST_WITH_OPT);
    }
    let choice = match (wish.is_optin, wish.is_optout) {
        (true, true) => return Err(session::OPTIN_AND_OPTOUT),
        (true, false) => Choice::OptIn,
        (false, true) => Choice::OptOut,
        (false, false) => Choice::Every,
    };
    let old_choice = current.map_or(Choice::Every, |mode| mode.choice);
    if matches!((old_choice, choice), (Choice::OptIn, Choice::OptOut) | (Choice::OptOut, Choice::OptIn)) {
        return Err(session::OPT_SWITCH);
    }
    let mut prefixes = current.map(|mode| mode.prefixes.clone()).unwrap_or_default();
    if wish.is_bcast {
        check_overlaps(&prefixes, &wish.prefixes)?;
        let everything: &[&[u8]] = &[b""];
        for prefix in if wish.prefixes.is_empty() { everything } else { &wish.prefixes } {
            if !prefixes.iter().any(|known| **known == **prefix) {
                prefixes.push((*prefix).into());
            }
        }
        prefixes.sort_unstable();
    }
    let Wish { redirect, is_noloop, is_bcast, .. } = wish;
    Ok(Mode { redirect, choice, is_noloop, is_bcast, prefixes })
}

/// Fails when a new prefix covers keys of another one: a change would be told twice.
fn check_overlaps(current: &[Box<[u8]>], wanted: &[&[u8]]) -> Result<(), Error> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    for (at, prefix) in wanted.iter().enumerate() {
        if let Some(other) = current.iter().find(|other| overlap(other, prefix)) {
            return Err(session::prefix_overlaps(prefix, "an existing", other));
        }
        if let Some(other) = wanted.iter().skip(at + 1).find(|other| overlap(other, prefix)) {
            return Err(session::prefix_overlaps(prefix, "another provided", other));
        }
    }
    Ok(())
}

fn start(call: &mut Call<'_>, mode: Mode) {
    let handle = &call.client.handle;
    handle.set_flag(HandleFlags::TRACKING, true);
    handle.set_flag(HandleFlags::TRACKING_BROKEN, false);
    handle.set_flag(HandleFlags::TRACKING_BCAST, mode.is_bcast);
    // Whoever changes a key next must know which protocol to tell this client in.
    call.client.publish();
    let mode = Arc::new(mode);
    call.shared.tracking.start(&call.shared.keyspace, call.client.id, &mode);
    call.client.tracking = Some(mode);
}

/// Ends tracking for a client: CLIENT TRACKING OFF, RESET, the end of the connection.
pub(crate) fn stop(shared: &Shared, client: &mut Client) {
    if client.tracking.take().is_none() {
        return;
    }
    client.is_caching = false;
    let handle = &client.handle;
    handle
        .set_flag(HandleFlags::TRACKING.union(HandleFlags::TRACKING_BROKEN).union(HandleFlags::TRACKING_BCAST), false);
    shared.tracking.stop(&shared.keyspace, client.id);
}

pub(super) fn caching(call: &mut Call<'_>) -> Result<(), Error> {
    let choice = call.client.tracking.as_ref().ok_or(session::CACHING_WITHOUT_TRACKING)?.choice;
    match call.args[2] {
        word if arguments::is(word, "yes") && choice == Choice::OptIn => {}
        word if arguments::is(word, "yes") => return Err(session::CACHING_YES),
        word if arguments::is(word, "no") && choice == Choice::OptOut => {}
        word if arguments::is(word, "no") => return Err(session::CACHING_NO),
        _ => return Err(error::SYNTAX),
    }
    call.client.is_caching = true;
    call.reply.ok();
    Ok(())
}

pub(super) fn getredir(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.integer(redirect(call.client.tracking.as_deref()));
    Ok(())
}

/// -1 without tracking, 0 without redirection.
fn redirect(mode: Option<&Mode>) -> i64 {
    mode.map_or(-1, |mode| mode.redirect.unwrap_or(0).cast_signed())
}

pub(super) fn trackinginfo(call: &mut Call<'_>) -> Result<(), Error> {
    let client = &call.client;
    let mode = client.tracking.as_deref();
    let is_broken = mode.is_some() && client.handle.flags().contains(HandleFlags::TRACKING_BROKEN);
    let choice = mode.map(|mode| mode.choice);
    let flags = [
        ("off", mode.is_none()),
        ("on", mode.is_some()),
        ("bcast", mode.is_some_and(|mode| mode.is_bcast)),
        ("optin", choice == Some(Choice::OptIn)),
        ("caching-yes", choice == Some(Choice::OptIn) && client.is_caching),
        ("optout", choice == Some(Choice::OptOut)),
        ("caching-no", choice == Some(Choice::OptOut) && client.is_caching),
        ("noloop", mode.is_some_and(|mode| mode.is_noloop)),
        ("broken_redirect", is_broken),
    ];
    let reply: &mut Reply<'_> = &mut call.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.iter().filter(|(_, is_set)| *is_set).count());
    flags.iter().filter(|(_, is_set)| *is_set).for_each(|(flag, _)| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect(mode));
    reply.bulk(b"prefixes");
    let prefixes = mode.map(|mode| mode.prefixes.as_slice()).unwrap_or_default();
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}
