//! The code of a process compared with the files that it is mapped from, byte for byte.

use anyhow::{Context as _, Result, bail};
use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt as _;

/// Fails unless all code of a process that is mapped from files is as the files have it.
///
/// # Errors
///
/// Names the first address that differs; or what could not be read.
pub fn require_as_in_files(pid: u32) -> Result<()> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let maps = read_to_string(format!("/proc/{pid}/maps"))?;
    let mut compared = 0;
    for line in maps.lines() {
        let Some(mapping) = Mapping::parse(line) else { continue };
        // The very file, for root; its name may lead to another one by now.
        let link = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
        let file = File::open(link).or_else(|_| File::open(mapping.path));
        let file = file.with_context(|| format!("no {}", mapping.path))?;
        let length = usize::try_from(mapping.end - mapping.start)?;
        let (mut in_file, mut in_process) = (vec![0; length], vec![0; length]);
        let of_file = file.read_at(&mut in_file, mapping.offset)?;
        memory.read_exact_at(&mut in_process, mapping.start)?;
        compared += of_file;
        // Behind the end of the file the last page is zeros.
        if in_file.get(..of_file) == in_process.get(..of_file) {
            continue;
        }
        let mut bytes = in_file.iter().zip(&in_process).take(of_file);
        if let Some(at) = bytes.position(|(file, process)| file != process) {
            let address = mapping.start + at as u64;
            bail!("{address:#x} in {} is {:#04x} in the process", mapping.path, in_process[at]);
        }
    }
    if compared == 0 {
        bail!("process {pid} has no code of files");
    }
    Ok(())
}

/// Code of a file in a line of `/proc/PID/maps`.
struct Mapping<'a> {
    start: u64,
    end: u64,
    offset: u64,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        if words.next()?.as_bytes().get(2) != Some(&b'x') {
            return None;
        }
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let offset = hex(words.next()?)?;
        let path = &line[line.find('/')?..];
        Some(Self { start: hex(start)?, end: hex(end)?, offset, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_as_in_its_files() {
        require_as_in_files(std::process::id()).unwrap();
    }

    #[test]
    fn only_code_of_files_is_compared() {
        let parse = |line| Mapping::parse(line).map(|m| (m.start, m.end, m.offset, m.path));
        let line = "7f00-8f00 r-xp 0001f000 fe:01 123       /tmp/a b";
        assert_eq!(parse(line), Some((0x7f00, 0x8f00, 0x1f000, "/tmp/a b")));
        assert_eq!(parse("7f00-8f00 rw-p 0001f000 fe:01 123 /tmp/a"), None);
        assert_eq!(parse("7f00-8f00 r-xp 00000000 00:00 0 [vdso]"), None);
    }
}
