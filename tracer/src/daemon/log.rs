//! The lines of all probes, kept for who reads them late: in order, by number, bounded.
//!
//! A log that is full gives up its oldest captures, and a reader is told which ones. When all
//! together are too much, the largest gives: no probe takes another one's room.

use axum::body::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Bytes of captures that one probe may keep.
const PROBE_BYTES_MAX: usize = 16 << 20;
/// Bytes of captures that all probes together may keep.
const BYTES_MAX: usize = 64 << 20;
/// What a line costs beside its bytes.
const OVERHEAD: usize = 64;

/// The logs of all probes.
#[derive(Debug)]
pub(super) struct Logs {
    bounds: Bounds,
    all: Mutex<All>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    probe_bytes_max: usize,
    bytes_max: usize,
}

#[derive(Default, Debug)]
struct All {
    logs: HashMap<u64, Lines>,
    opened: u64,
    bytes: usize,
    /// Captures that were given up.
    evicted: u64,
}

/// What is kept of one probe.
#[derive(Default, Debug)]
struct Lines {
    armed: Option<Bytes>,
    captures: VecDeque<Bytes>,
    /// `seq` of the newest capture; the first one's is 1.
    written: u64,
    end: Option<Bytes>,
    bytes: usize,
}

/// The log of one probe: its only writer, and any number of readers. What it holds goes with it.
#[derive(Debug)]
pub(super) struct Log {
    logs: Arc<Logs>,
    key: u64,
    changed: watch::Sender<()>,
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// `seq` of the last capture that was read.
    after: u64,
    opened: bool,
    ended: bool,
}

impl Cursor {
    /// Captures behind `after` are wanted.
    pub(super) fn behind(after: u64) -> Self {
        Self { after, opened: false, ended: false }
    }
}

/// What is next for a reader.
#[derive(Debug)]
pub(super) enum Next {
    /// A line.
    Line(Bytes),
    /// Captures that are no longer there.
    Gap {
        /// `seq` of the first.
        from: u64,
        /// `seq` of the last.
        to: u64,
    },
    /// Nothing yet.
    Wait,
    /// Nothing any more.
    End,
}

impl Default for Logs {
    fn default() -> Self {
        Self::bounded(PROBE_BYTES_MAX, BYTES_MAX)
    }
}

impl Logs {
    fn bounded(probe_bytes_max: usize, bytes_max: usize) -> Self {
        Self { bounds: Bounds { probe_bytes_max, bytes_max }, all: Mutex::default() }
    }

    /// A new log.
    pub(super) fn open(self: &Arc<Self>) -> Log {
        let mut all = self.all();
        all.opened += 1;
        let key = all.opened;
        all.logs.insert(key, Lines::default());
        Log { logs: Arc::clone(self), key, changed: watch::Sender::new(()) }
    }

    /// Captures that were given up for others, ever.
    pub(super) fn evicted(&self) -> u64 {
        self.all().evicted
    }

    /// A writer that died leaves nothing half done: each change is one step.
    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// The first line.
    pub(super) fn armed(&self, line: Bytes) {
        self.write(|lines| lines.armed = Some(line));
    }

    /// A capture's line; its `seq` is one more than the last one's.
    pub(super) fn capture(&self, line: Bytes) {
        let cost = line.len() + OVERHEAD;
        let mut all = self.logs.all();
        all.bytes += cost;
        if let Some(lines) = all.logs.get_mut(&self.key) {
            lines.bytes += cost;
            lines.written += 1;
            lines.captures.push_back(line);
        }
        all.shrink(self.key, self.logs.bounds);
        drop(all);
        self.changed.send_replace(());
    }

    /// The last line.
    pub(super) fn end(&self, line: Bytes) {
        self.write(|lines| lines.end = Some(line));
    }

    /// `seq` of the newest capture.
    pub(super) fn written(&self) -> u64 {
        self.logs.all().logs.get(&self.key).map_or(0, |lines| lines.written)
    }

    /// The last line is written.
    pub(super) fn is_complete(&self) -> bool {
        self.logs.all().logs.get(&self.key).is_none_or(|lines| lines.end.is_some())
    }

    /// Changes whenever there is something to read.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is next for `cursor`, which moves behind it.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Next {
        let all = self.logs.all();
        let Some(lines) = all.logs.get(&self.key) else { return Next::End };
        lines.next(cursor)
    }

    fn write(&self, change: impl FnOnce(&mut Lines)) {
        if let Some(lines) = self.logs.all().logs.get_mut(&self.key) {
            change(lines);
        }
        self.changed.send_replace(());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut all = self.logs.all();
        if let Some(lines) = all.logs.remove(&self.key) {
            all.bytes -= lines.bytes;
        }
    }
}

impl All {
    /// Drops the oldest captures of `key` until it keeps its bound, then of whoever has most.
    fn shrink(&mut self, key: u64, bounds: Bounds) {
        while self.logs.get(&key).is_some_and(|lines| lines.bytes > bounds.probe_bytes_max) {
            self.drop_oldest(key);
        }
        while self.bytes > bounds.bytes_max {
            let largest = self.logs.iter().max_by_key(|(_, lines)| lines.bytes);
            let Some(key) = largest.map(|(key, _)| *key) else { return };
            self.drop_oldest(key);
        }
    }

    fn drop_oldest(&mut self, key: u64) {
        let Some(lines) = self.logs.get_mut(&key) else { return };
        let Some(line) = lines.captures.pop_front() else { return };
        self.evicted += 1;
        let cost = line.len() + OVERHEAD;
        lines.bytes -= cost;
        self.bytes -= cost;
    }
}

impl Lines {
    fn next(&self, cursor: &mut Cursor) -> Next {
        if !cursor.opened
            && let Some(armed) = &self.armed
        {
            cursor.opened = true;
            return Next::Line(armed.clone());
        }
        let oldest = self.written - self.captures.len() as u64 + 1;
        if cursor.after.saturating_add(1) < oldest {
            let (from, to) = (cursor.after + 1, oldest - 1);
            cursor.after = to;
            return Next::Gap { from, to };
        }
        let index = usize::try_from(cursor.after.saturating_add(1) - oldest).ok();
        if let Some(line) = index.and_then(|index| self.captures.get(index)) {
            cursor.after += 1;
            return Next::Line(line.clone());
        }
        match &self.end {
            Some(end) if !cursor.ended => {
                cursor.ended = true;
                Next::Line(end.clone())
            }
            Some(_) => Next::End,
            None => Next::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capture that costs 100 bytes.
    fn capture(log: &Log) {
        log.capture(Bytes::from_static(&[b'x'; 100 - OVERHEAD]));
    }

    /// What a reader behind `after` gets: `a`rmed, `.` a capture, `-N-M` a gap, `e`nd.
    fn read(log: &Log, after: u64) -> String {
        let mut cursor = Cursor::behind(after);
        let mut all = String::new();
        loop {
            match log.next(&mut cursor) {
                Next::Line(line) if line.len() == 1 => all.push(char::from(line[0])),
                Next::Line(_) => all.push('.'),
                Next::Gap { from, to } => all.push_str(&format!("-{from}-{to}")),
                Next::Wait => return all,
                Next::End => return all + "$",
            }
        }
    }

    fn log(logs: &Arc<Logs>, captures: u32) -> Log {
        let log = logs.open();
        log.armed(Bytes::from_static(b"a"));
        (0..captures).for_each(|_| capture(&log));
        log
    }

    #[test]
    fn a_reader_goes_on_from_wherever_it_stopped() {
        let log = log(&Arc::default(), 3);
        assert_eq!(read(&log, 0), "a...");
        assert_eq!(read(&log, 2), "a.");
        assert_eq!(read(&log, 3), "a");
        assert_eq!(read(&log, u64::MAX), "a", "what was never written is waited for");
        assert!(!log.is_complete());
        log.end(Bytes::from_static(b"e"));
        assert!(log.is_complete());
        assert_eq!(read(&log, 0), "a...e$");
        assert_eq!(read(&log, 3), "ae$");
        assert_eq!(log.written(), 3);
    }

    #[test]
    fn what_is_dropped_is_told_once_and_exactly() {
        let log = log(&Arc::new(Logs::bounded(300, 1000)), 5);
        assert_eq!(read(&log, 0), "a-1-2...");
        assert_eq!(read(&log, 1), "a-2-2...");
        assert_eq!(read(&log, 2), "a...");
        let mut slow = Cursor::behind(0);
        for _ in 0..2 {
            log.next(&mut slow);
        }
        (0..4).for_each(|_| capture(&log));
        // It had been told of 1 and 2; 3 to 6 went since.
        assert!(matches!(log.next(&mut slow), Next::Gap { from: 3, to: 6 }));
        assert!(matches!(log.next(&mut slow), Next::Line(_)));
        assert_eq!(log.written(), 9);
    }

    #[test]
    fn a_capture_that_is_too_large_is_a_gap() {
        let log = log(&Arc::new(Logs::bounded(10, 1000)), 2);
        log.end(Bytes::from_static(b"e"));
        assert_eq!(read(&log, 0), "a-1-2e$");
    }

    #[test]
    fn the_largest_gives_when_all_are_too_much() {
        let logs = Arc::new(Logs::bounded(1000, 1000));
        let [large, small] = [log(&logs, 8), log(&logs, 2)];
        capture(&small);
        assert_eq!([read(&large, 0), read(&small, 0)], ["a-1-1.......", "a..."]);
        (0..5).for_each(|_| capture(&small));
        assert_eq!(logs.all().bytes, 1000);
        assert_eq!(logs.all().logs.values().map(|lines| lines.bytes).max(), Some(500));
        drop(large);
        assert_eq!(logs.all().bytes, 500);
        drop(small);
        assert_eq!(logs.all().bytes, 0);
        assert!(logs.all().logs.is_empty());
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_every_line() {
        let log = log(&Arc::default(), 0);
        let mut changes = log.changes();
        capture(&log);
        changes.changed().await.unwrap();
        log.end(Bytes::from_static(b"e"));
        changes.changed().await.unwrap();
        assert!(!changes.has_changed().unwrap());
    }
}
