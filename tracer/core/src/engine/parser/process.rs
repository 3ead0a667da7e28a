//! The parser itself: a thread for each session, all with one cache of what was read.

use super::channel::{Channel, Indices};
use super::confine::confine;
use super::message::{BYTES_MAX, Reply, Request, Said, Scene, Terms, receive};
use crate::binary::cache::{Cache, CacheOptions};
use crate::binary::index_store::IndexStore;
use crate::binary::modules::{Code, Modules};
use crate::binary::opener::{OnBehalf, work_for};
use crate::engine::findings::Found;
use crate::model::issue::Issue;
use crate::resolve;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// The body of the process. It was started with one end of a connection as its standard input; on
/// it come the sockets of sessions. Gives the exit code.
pub fn run() -> u8 {
    match serve() {
        Some(()) => 0,
        None => {
            eprintln!("tracer parser: not for people; tracer starts it to read files");
            2
        }
    }
}

fn serve() -> Option<()> {
    rustix::thread::set_name(c"tracer-parser").ok()?;
    let control = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let (terms, indices) = receive::<Terms>(control.as_fd(), BYTES_MAX, &mut None).ok()??;
    confine(terms.memory).ok()?;
    let indices = indices.filter(|_| terms.keeps_indices).map(OwnedFd::from);
    let store = indices.map(|socket| IndexStore::new(Indices::new(socket)));
    let cache = Arc::new(Cache::new(CacheOptions::default(), store));
    while let Ok(Some(((), Some(socket)))) = receive(control.as_fd(), BYTES_MAX, &mut None) {
        let cache = Arc::clone(&cache);
        let thread = std::thread::Builder::new().name("session".to_owned());
        // Without a thread the session ends before it begins.
        let _ended = thread.spawn(move || session(OwnedFd::from(socket), &cache));
    }
    // Who started us has gone, or wants us to; whatever the sessions do, they end with us.
    Some(())
}

fn session(socket: OwnedFd, cache: &Arc<Cache>) {
    let channel = Arc::new(Channel::new(socket));
    let Some(Scene { process, caller }) = channel.hear() else { return };
    work_for(Some(channel.clone()));
    let modules = Modules::opened_by(Arc::new(OnBehalf), cache, &process, caller);
    let code = Code::new(&modules);
    while let Some(request) = channel.question() {
        let reply = match request {
            Request::Find(pattern) => Reply::Found(find(&pattern, &code)),
        };
        if channel.say(&Said::Reply(reply, cache.readings())).is_err() {
            return;
        }
    }
}

fn find(pattern: &str, code: &Code<'_>) -> Result<Vec<Found>, Issue> {
    let label = |found: resolve::find::Found| {
        let module = code.modules().get(found.module).ok()?;
        Some(Found {
            function: found.name,
            module: module.path().display().to_string(),
            svma: found.svma,
            address: module.to_avma(found.svma),
            line: found.line,
            copies: found.copies,
            callers: found.callers,
        })
    };
    Ok(resolve::find::find(pattern, code)?.into_iter().filter_map(label).collect())
}
