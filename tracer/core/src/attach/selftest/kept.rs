//! The results of the self-tests, kept until the machine is started again.

use super::super::load::Program;
use crate::binary::open::MappedFile;
use crate::binary::own_directory;
use crate::model::abilities::{Ability, HostAbilities};
use std::fs;
use std::io;
use std::os::fd::AsFd as _;

/// The file in the directory of indices.
const NAME: &str = "self-tests";
/// A changed meaning gets a new number.
const VERSION: &str = "tracer self-tests 1";
/// Says that a test did no harm; anything else is the harm.
const SAFE: &str = "safe";

/// What may be done on this machine, if it was tried since the machine was started.
pub fn known() -> Option<HostAbilities> {
    let directory = own_directory::open(&own_directory::path()?).ok()?;
    let file = MappedFile::own_in(directory.as_fd(), NAME).ok()?;
    parse(file.bytes(), &boot()?)
}

/// Tries what may be done on this machine, in about a tenth of a second, and keeps it.
pub fn abilities(program: &Program) -> HostAbilities {
    let (abilities, certain) = super::run(program);
    tracing::debug!(?abilities, certain, "self-tests");
    if let (Some(path), Some(boot), true) = (own_directory::path(), boot(), certain) {
        let kept = own_directory::open(&path).map_err(io::Error::other).and_then(|directory| {
            own_directory::write(directory.as_fd(), NAME, write(&abilities, &boot).as_bytes())
        });
        if let Err(error) = kept {
            tracing::debug!(directory = %path.display(), %error, "the self-tests are not kept");
        }
    }
    abilities
}

/// Another kernel, or the same one started anew, has another id.
fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

fn write(abilities: &HostAbilities, boot: &str) -> String {
    let HostAbilities { nop5, seccomp, returns } = abilities;
    let mut text = format!("{VERSION}\n{boot}\n");
    for ability in [nop5, seccomp, returns] {
        text.push_str(match ability {
            Ability::Safe => SAFE,
            Ability::Unsafe(why) => why,
        });
        text.push('\n');
    }
    text
}

/// `None` unless it is whole, of this version and of this start of the machine.
fn parse(bytes: &[u8], boot: &str) -> Option<HostAbilities> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let mut lines = text.split('\n');
    if lines.next() != Some(VERSION) || lines.next() != Some(boot) {
        return None;
    }
    let mut ability = || match lines.next()? {
        SAFE => Some(Ability::Safe),
        "" => None,
        why => Some(Ability::Unsafe(why.to_owned())),
    };
    let abilities = HostAbilities { nop5: ability()?, seccomp: ability()?, returns: ability()? };
    lines.next().is_none().then_some(abilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_whole_and_of_this_start_counts() {
        let abilities = HostAbilities {
            nop5: Ability::Unsafe("the kernel overwrote the red zone".to_owned()),
            seccomp: Ability::Safe,
            returns: Ability::Unsafe("signal 31 killed the process".to_owned()),
        };
        let text = write(&abilities, "a-b");
        assert_eq!(parse(text.as_bytes(), "a-b"), Some(abilities));
        assert_eq!(parse(text.as_bytes(), "a-c"), None);
        for length in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..length], "a-b"), None, "{length} bytes");
        }
        assert_eq!(parse(format!("{text}safe\n").as_bytes(), "a-b"), None);
        assert_eq!(parse(b"\xff", "a-b"), None);
    }
}
