//! The parser itself: a thread for each session, all with one cache of what was read.

use super::channel::{Channel, Indices};
use super::confine::{STACK_BYTES, bound_memory, confine};
use super::message::{
    BYTES_MAX, Hits, Question, Reply, Request, Resolution, Said, Scene, Terms, receive,
};
use super::view::View;
use crate::binary::cache::{Cache, CacheOptions};
use crate::binary::index_store::IndexStore;
use crate::binary::modules::{Code, Modules};
use crate::binary::opener::{OnBehalf, work_for};
use crate::engine::event::ModuleLabel;
use crate::engine::findings::Found;
use crate::engine::nearest::Nearest;
use crate::engine::vars;
use crate::model::capture::Capture;
use crate::model::issue::Issue;
use crate::model::limits::Limits;
use crate::model::record::Record;
use crate::model::resolved::ModuleIndex;
use crate::{decode, plan, resolve};
use rustix::process::setpriority_process;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

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
    let sessions = Arc::new(Sessions { memory: terms.memory, count: Mutex::default() });
    while let Ok(Some(((), Some(socket)))) = receive(control.as_fd(), BYTES_MAX, &mut None) {
        let (cache, sessions) = (Arc::clone(&cache), Arc::clone(&sessions));
        sessions.changed_by(1);
        let own = Arc::clone(&sessions);
        let thread = std::thread::Builder::new().name("session".to_owned());
        let work = move || {
            session(OwnedFd::from(socket), &cache);
            own.changed_by(-1);
        };
        // Without a thread the session ends before it begins.
        if thread.stack_size(STACK_BYTES as usize).spawn(work).is_err() {
            sessions.changed_by(-1);
        }
    }
    // Who started us has gone, or wants us to; whatever the sessions do, they end with us.
    Some(())
}

/// How many sessions there are.
struct Sessions {
    memory: u64,
    count: Mutex<u64>,
}

impl Sessions {
    /// There is memory for the stacks of all of them.
    fn changed_by(&self, difference: i64) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_add_signed(difference);
        // One that it fails for may end us, and is asked once more.
        let _bounded = bound_memory(self.memory, *count);
    }
}

fn session(socket: OwnedFd, cache: &Arc<Cache>) {
    let channel = Arc::new(Channel::new(socket));
    let Some(Scene { process, caller, host, raw, sites }) = channel.hear() else { return };
    work_for(Some(channel.clone()));
    let modules = Modules::opened_by(Arc::new(OnBehalf), cache, &process, caller);
    let code = Code::new(&modules).raw(raw);
    let code = match &host {
        Some(host) => code.on(host),
        None => code,
    };
    let mut sites = sites.map(|(resolved, text)| Nearest::new(resolved, text));
    while let Some(request) = channel.question() {
        let reply = match request {
            Request::Find(pattern) => Reply::Found(find(&pattern, &code)),
            Request::Vars(location, text) => {
                Reply::Vars(vars::of_location(&location, &text, &code))
            }
            Request::Resolve(question) => {
                let resolution = resolve(&question, &code);
                if let (Ok(resolution), true) = (&resolution, question.kept) {
                    sites = Some(Nearest::new(resolution.resolved.clone(), question.text));
                }
                Reply::Resolved(resolution)
            }
            Request::Decode(hits, limits) => {
                give_way(hits.nice);
                let sites = sites.as_ref();
                let captures = sites.map(|sites| decode(&hits, &limits, sites, &code));
                Reply::Captures(captures.unwrap_or_default())
            }
        };
        if channel.say(&Said::Reply(reply, cache.readings())).is_err() {
            return;
        }
    }
}

/// Who is traced and all others go first.
fn give_way(nice: i32) {
    if let Err(error) = setpriority_process(None, nice) {
        tracing::debug!(%error, "decoding has the priority of all else");
    }
}

fn resolve(question: &Question, code: &Code<'_>) -> Result<Resolution, Issue> {
    let Question { location, text, limits, entries, .. } = question;
    let mut resolved = resolve::resolve(location, text, code)?;
    if !entries {
        resolved.leave_entries();
    }
    if let most @ 1.. = limits.globals_max {
        resolve::add_globals(&mut resolved, text, code, most as usize)?;
    }
    let plan = |site| plan::compile(site, &resolved.types, *limits);
    let plans = resolved.sites.iter().map(plan).collect();
    // Only what is shown is opened: a process may have a hundred libraries.
    let is_shown = |index| resolved.sites.iter().any(|site| site.module == index);
    let label = |index| label(code, index, is_shown(index));
    let modules = (0..code.modules().len()).map(label).collect();
    Ok(Resolution { resolved, plans, modules })
}

/// Nothing of hits at sites that are not known: who asks notices.
fn decode(hits: &Hits, limits: &Limits, sites: &Nearest, code: &Code<'_>) -> Vec<Capture> {
    let Hits { records, changed, wall_minus_boot_ns, .. } = hits;
    let view = View { code, changed };
    let capture = |(index, record): &(usize, Record)| {
        let site = sites.site(*index, code)?;
        let time = i128::from(record.time_boot_ns).saturating_add(*wall_minus_boot_ns);
        Some(decode::decode(record, *index, site, sites.types(), limits, &view, time))
    };
    records.iter().filter_map(capture).collect()
}

/// How a module is shown; one that is not opened for it has no build-id.
pub(in crate::engine) fn label(code: &Code<'_>, index: ModuleIndex, opened: bool) -> ModuleLabel {
    let modules = code.modules();
    let module = opened.then(|| modules.get(index).ok()).flatten();
    let path = modules.path(index).map(|path| path.display().to_string());
    ModuleLabel {
        path: path.unwrap_or_default(),
        build_id: module.and_then(|module| module.build_id()),
        debug_issue: opened.then(|| code.debug_issue(index)).flatten(),
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
