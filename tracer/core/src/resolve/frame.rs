//! The canonical frame address in the body of a function, for compilers that state places in the
//! frame by the stack pointer as it is there, whatever it is at the pc.

use crate::binary::cfi::{CfaRule, RegisterRule, UnwindRow};
use crate::model::address::Svma;
use tracer_common::wire::{RBP, RSP};

/// rbx, r12 to r15: what a prologue saves besides rbp (psABI x86-64, 3.2.1).
const SAVED: [u8; 5] = [3, 12, 13, 14, 15];

/// How the canonical frame address is computed in the body of the function with these rows, where
/// the code at its entry does without a frame. `None` where the rows do not prove which one is the
/// body's: those of a call with arguments on the stack look alike.
pub(super) fn body_cfa(rows: &[(Svma, UnwindRow)]) -> Option<&CfaRule> {
    let (_, entry) = rows.first()?;
    let mut others: Vec<&CfaRule> = Vec::new();
    for (_, row) in rows {
        if row.cfa != entry.cfa && !others.contains(&&row.cfa) {
            others.push(&row.cfa);
        }
    }
    let by_frame_pointer: Vec<&CfaRule> =
        others.iter().copied().filter(|cfa| is_of(cfa, RBP)).collect();
    match (others.as_slice(), by_frame_pointer.as_slice()) {
        ([], _) => Some(&entry.cfa),
        ([only], _) | (_, [only]) => Some(only),
        (_, []) => behind_saves(rows),
        _ => None,
    }
}

fn is_of(cfa: &CfaRule, number: usize) -> bool {
    matches!(cfa, CfaRule::Register { register, .. } if usize::from(*register) == number)
}

/// The row from which on all registers are saved that the function saves: compilers state them
/// together, behind the last instruction of the prologue.
fn behind_saves(rows: &[(Svma, UnwindRow)]) -> Option<&CfaRule> {
    let saves = |row: &UnwindRow| {
        let saved = row.registers.iter().filter(|(number, rule)| {
            SAVED.contains(number) && matches!(rule, RegisterRule::AtCfa(_))
        });
        saved.count()
    };
    let most = rows.iter().map(|(_, row)| saves(row)).max().filter(|most| *most > 0)?;
    let first = rows.iter().position(|(_, row)| saves(row) > 0)?;
    let (prologue, rest) = rows.split_at_checked(first)?;
    let (_, body) = rest.first()?;
    let offset = |row: &UnwindRow| match row.cfa {
        CfaRule::Register { register, offset } if usize::from(register) == RSP => Some(offset),
        _ => None,
    };
    let grown = prologue.iter().all(|(_, row)| offset(row) < offset(body));
    (grown && saves(body) == most && offset(body).is_some()).then_some(&body.cfa)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows by the CFA's register and offset, and how many registers are saved.
    fn rows(list: &[(u8, i64, usize)]) -> Vec<(Svma, UnwindRow)> {
        let row = |(register, offset, saved): &(u8, i64, usize)| UnwindRow {
            cfa: CfaRule::Register { register: *register, offset: *offset },
            registers: SAVED.iter().take(*saved).map(|n| (*n, RegisterRule::AtCfa(-16))).collect(),
            signal_frame: false,
        };
        list.iter().enumerate().map(|(index, it)| (Svma(index as u64), row(it))).collect()
    }

    fn check(list: &[(u8, i64, usize)], expected: Option<(u8, i64)>) {
        let rows = rows(list);
        let expected = expected.map(|(register, offset)| CfaRule::Register { register, offset });
        assert_eq!(body_cfa(&rows), expected.as_ref(), "{list:?}");
    }

    #[test]
    fn the_body_is_where_the_rows_prove_it() {
        check(&[], None);
        check(&[(7, 8, 0)], Some((7, 8)));
        check(&[(7, 8, 0), (7, 80, 0), (7, 8, 0)], Some((7, 80)));
        check(&[(7, 8, 0), (7, 16, 0), (6, 16, 0), (7, 8, 0)], Some((6, 16)));
        // Pushes of a call's arguments come behind the body's row.
        let pushes = [(7, 8, 0), (7, 16, 0), (7, 48, 2), (7, 56, 2), (7, 48, 2), (7, 8, 0)];
        check(&pushes, Some((7, 48)));
        // Without saved registers a frame and a push look alike.
        check(&[(7, 8, 0), (7, 16, 0), (7, 24, 0), (7, 16, 0)], None);
        // Not all of them are saved in one place.
        check(&[(7, 8, 0), (7, 16, 1), (7, 24, 2)], None);
        check(&[(7, 8, 0), (7, 64, 0), (7, 48, 1)], None);
    }
}
