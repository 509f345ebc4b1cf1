//! BITOP: whole strings combined bit by bit. The shorter ones go on with zeros.

use crate::arguments::is;
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_keyspace::Owned;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    And,
    Or,
    Xor,
    Not,
}

pub(super) fn bit_op(call: &mut Call<'_>) -> Result<(), Error> {
    let operation = Operation::parse(call.args[1])?;
    if operation == Operation::Not && call.args.len() != 4 {
        return Err(error::BITOP_NOT);
    }
    let mut result = Vec::new();
    for index in 3..call.args.len() {
        let key = call.key(index);
        let source = call.read(&key).0.map_or(&[][..], |entry| entry.value);
        if index == 3 {
            result.extend_from_slice(source);
        } else {
            operation.fold(&mut result, source);
        }
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let (key, db, len) = (call.key(2), call.client.db, result.len());
    if result.is_empty() {
        call.held.remove(db, &key);
    } else {
        call.held.insert(db, &key, Owned { value: result, expires_at_ms: None, is_raw: true, idle_seconds: 0 })?;
    }
    call.reply.count(len);
    Ok(())
}

impl Operation {
    fn parse(word: &[u8]) -> Result<Operation, Error> {
        [("and", Operation::And), ("or", Operation::Or), ("xor", Operation::Xor), ("not", Operation::Not)]
            .into_iter()
            .find_map(|(name, operation)| is(word, name).then_some(operation))
            .ok_or(error::SYNTAX)
    }

    /// Folds one more string into what the strings before it gave. The loops over pairs compile to vector instructions.
    pub(super) fn fold(self, result: &mut Vec<u8>, source: &[u8]) {
        let common = result.len().min(source.len());
        let (head, tail) = result.split_at_mut(common);
        let pairs = head.iter_mut().zip(source);
        match self {
            Operation::And => {
                pairs.for_each(|(byte, other)| *byte &= other);
                tail.fill(0);
                result.resize(result.len().max(source.len()), 0);
            }
            Operation::Or => {
                pairs.for_each(|(byte, other)| *byte |= other);
                result.extend_from_slice(&source[common..]);
            }
            Operation::Xor => {
                pairs.for_each(|(byte, other)| *byte ^= other);
                result.extend_from_slice(&source[common..]);
            }
            Operation::Not => {}
        }
    }
}
