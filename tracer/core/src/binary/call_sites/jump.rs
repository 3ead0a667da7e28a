//! Where the instruction of a call leads.

use crate::binary::module::Module;
use crate::model::address::Svma;

/// Where the direct call leads whose instruction ends at `end`: `call rel32`.
pub(super) fn direct_call(module: &Module, end: Svma) -> Option<Svma> {
    let bytes: &[u8; 5] = module.text(end.offset(-5), 5)?.try_into().ok()?;
    match bytes {
        [0xe8, distance @ ..] => Some(far(end, *distance)),
        _ => None,
    }
}

/// Where the jump leads that is a call in a function's last step: its instruction is at `at` or
/// ends at `end`. `None` for an indirect one, or where it can't be told.
pub(super) fn tail_call(
    module: &Module,
    at: Option<u64>,
    end: Option<u64>,
    is_entry: &dyn Fn(Svma) -> bool,
) -> Option<Svma> {
    if let Some(at) = at {
        let first: &[u8; 2] = module.text(Svma(at), 2)?.try_into().ok()?;
        let (length, opcode) = match first {
            [0xe9, _] => (5, 1),
            [0x0f, 0x80..=0x8f] => (6, 2),
            [0xeb | 0x70..=0x7f, distance] => return Some(near(Svma(at).offset(2), *distance)),
            _ => return None,
        };
        let distance = module.text(Svma(at).offset(opcode), 4)?.try_into().ok()?;
        return Some(far(Svma(at).offset(length), distance));
    }
    // Where an instruction starts is not known: of the ways to read it backwards, one leads to a
    // function.
    let end = Svma(end?);
    let bytes: &[u8; 6] = module.text(end.offset(-6), 6)?.try_into().ok()?;
    let long = match bytes {
        [_, 0xe9, distance @ ..] | [0x0f, 0x80..=0x8f, distance @ ..] => Some(far(end, *distance)),
        _ => None,
    };
    let short = match bytes {
        [.., 0xeb | 0x70..=0x7f, distance] => Some(near(end, *distance)),
        _ => None,
    };
    match (long.filter(|to| is_entry(*to)), short.filter(|to| is_entry(*to))) {
        (Some(to), None) | (None, Some(to)) => Some(to),
        // A jump to a stub of the linkage table leads to no function that is known.
        (None, None) if short.is_none() => long,
        _ => None,
    }
}

fn far(end: Svma, distance: [u8; 4]) -> Svma {
    end.offset(i64::from(i32::from_le_bytes(distance)))
}

fn near(end: Svma, distance: u8) -> Svma {
    end.offset(i64::from(distance.cast_signed()))
}
