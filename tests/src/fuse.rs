//! A filesystem that stalls: one file served from memory by raw `/dev/fuse`, until it is told to
//! answer no more.

use anyhow::{Context as _, Result};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use tempfile::TempDir;

/// The name of the one file.
const NAME: &[u8] = b"program\0";
/// More than any request has: a write of a page, and the least that the kernel accepts.
const REQUEST_BYTES: usize = 64 * 1024;

// include/uapi/linux/fuse.h
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const HEADER_BYTES: usize = 40;
const ROOT: u64 = 1;
const FILE: u64 = 2;

/// A mount; dropping it ends it, and what waits for an answer gets an error.
#[derive(Debug)]
pub struct Stalling {
    folder: TempDir,
    device: Option<File>,
    stalls: Arc<AtomicBool>,
    unanswered: Arc<AtomicU64>,
}

impl Stalling {
    /// Mounts a filesystem whose only file has these contents, and answers for the time being.
    ///
    /// # Errors
    ///
    /// There is no FUSE here, or no right to mount.
    pub fn mount(contents: Vec<u8>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let device = device.context("/dev/fuse")?;
        let options = format!("fd={},rootmode=40755,user_id=0,group_id=0", device.as_raw_fd());
        let options = CString::new(options)?;
        rustix::mount::mount(
            "tracer-test",
            folder.path(),
            "fuse",
            rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV,
            options.as_c_str(),
        )
        .context("mount")?;
        let (stalls, unanswered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let server = Server {
            device: device.try_clone()?,
            contents,
            stalls: Arc::clone(&stalls),
            unanswered: Arc::clone(&unanswered),
        };
        let mounted = Self { folder, device: Some(device), stalls, unanswered };
        std::thread::Builder::new().name("fuse".to_owned()).spawn(move || server.serve())?;
        Ok(mounted)
    }

    /// The path of the file.
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// From now on no request is answered.
    pub fn stall(&self) {
        self.stalls.store(true, SeqCst);
    }

    /// Requests that wait for an answer.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(SeqCst)
    }
}

impl Drop for Stalling {
    fn drop(&mut self) {
        end(self.folder.path());
        drop(self.device.take());
    }
}

/// Ends the connection, so that all who wait go on, and takes the mount away.
fn end(path: &Path) {
    let flags = rustix::mount::UnmountFlags::FORCE | rustix::mount::UnmountFlags::DETACH;
    if let Err(error) = rustix::mount::unmount(path, flags) {
        eprintln!("{} stays mounted: {error}", path.display());
    }
}

struct Server {
    device: File,
    contents: Vec<u8>,
    stalls: Arc<AtomicBool>,
    unanswered: Arc<AtomicU64>,
}

impl Server {
    /// Answers until the connection ends.
    fn serve(mut self) {
        let mut request = vec![0; REQUEST_BYTES];
        loop {
            let length = match self.device.read(&mut request) {
                Ok(length) => length,
                // A request that was taken back.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
                Err(_) => return,
            };
            let Some(request) = Request::parse(request.get(..length).unwrap_or_default()) else {
                return;
            };
            if matches!(request.operation, FORGET | BATCH_FORGET | INTERRUPT) {
                continue;
            }
            if self.stalls.load(SeqCst) {
                self.unanswered.fetch_add(1, SeqCst);
                continue;
            }
            let answer = self.answer(&request);
            let (error, body) = match answer {
                Ok(body) => (0, body),
                Err(errno) => (-errno, Vec::new()),
            };
            let mut bytes = Vec::new();
            let length = u32::try_from(16 + body.len()).unwrap_or(0);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&error.to_le_bytes());
            bytes.extend_from_slice(&request.unique.to_le_bytes());
            bytes.extend_from_slice(&body);
            // Who asked may have gone.
            self.device.write_all(&bytes).unwrap_or_default();
        }
    }

    fn answer(&self, request: &Request<'_>) -> Result<Vec<u8>, i32> {
        match request.operation {
            INIT => Ok(words32(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            LOOKUP if request.body == NAME => {
                // Nothing may be remembered: each look asks us.
                let mut entry = words64(&[FILE, 0, 0, 0, 0]);
                entry.extend(self.attributes(FILE));
                Ok(entry)
            }
            LOOKUP => Err(libc::ENOENT),
            GETATTR => {
                let mut attributes = words64(&[0, 0]);
                attributes.extend(self.attributes(request.node));
                Ok(attributes)
            }
            OPEN => Ok(words64(&[0, 0])),
            READ => {
                let offset = request.word64(8).ok_or(libc::EINVAL)?;
                let size = request.word64(16).ok_or(libc::EINVAL)? & 0xffff_ffff;
                let length = self.contents.len() as u64;
                let range = offset.min(length)..offset.saturating_add(size).min(length);
                let range = range.start as usize..range.end as usize;
                Ok(self.contents.get(range).unwrap_or_default().to_vec())
            }
            STATFS => Ok(vec![0; 80]),
            FLUSH | RELEASE => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        }
    }

    /// `struct fuse_attr`.
    fn attributes(&self, node: u64) -> Vec<u8> {
        let size = self.contents.len() as u64;
        let (size, mode) = if node == ROOT { (0, 0o40_755) } else { (size, 0o100_755) };
        let mut bytes = words64(&[node, size, size.div_ceil(512), 0, 0, 0]);
        bytes.extend(words32(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]));
        bytes
    }
}

struct Request<'r> {
    operation: u32,
    unique: u64,
    node: u64,
    body: &'r [u8],
}

impl<'r> Request<'r> {
    /// `struct fuse_in_header` and what follows.
    fn parse(bytes: &'r [u8]) -> Option<Self> {
        let operation = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self {
            operation,
            unique: word(8)?,
            node: word(16)?,
            body: bytes.get(HEADER_BYTES..)?,
        })
    }

    fn word64(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.body.get(at..at + 8)?.try_into().ok()?))
    }
}

fn words32(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn words64(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
