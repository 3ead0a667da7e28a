//! Values of Rust's library as programs have them: empty, one, many, nested, shared, in circles, and
//! as a bug leaves them. Each function gets those of one family.
#![allow(dead_code)]

use std::borrow::Cow;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::io::Write as _;
use std::mem::{MaybeUninit, size_of};
use std::num::{NonZeroI64, NonZeroU32};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant, SystemTime};

type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
type Set<T> = HashSet<T, BuildHasherDefault<DefaultHasher>>;

/// Keeps a value in memory, and a call a call.
#[inline(always)]
fn see<T>(value: T) -> T {
    // SAFETY: it does nothing.
    unsafe { std::arch::asm!("/* {0} */", in(reg) &value) };
    value
}

static SEEN: AtomicU64 = AtomicU64::new(0);

/// Makes a function another one than those that do the same.
fn mark(number: u64) {
    SEEN.store(number, Ordering::Relaxed);
}

struct Point {
    x: i32,
    y: i32,
}

struct Strings {
    empty: String,
    text: String,
    unicode: String,
    os: OsString,
    path: PathBuf,
    c: CString,
    boxed: Box<str>,
    borrowed: Cow<'static, str>,
    owned: Cow<'static, str>,
    rc: Rc<str>,
    arc: Arc<str>,
    none: Option<String>,
    some: Option<String>,
    long: String,
}

#[inline(never)]
fn see_strings(v: &Strings) {
    mark(1);
    see(v);
}

struct Vectors {
    empty: Vec<u32>,
    one: Vec<u32>,
    spare: Vec<u8>,
    many: Vec<u32>,
    points: Vec<Point>,
    nested: Vec<Vec<String>>,
    units: Vec<()>,
    boxed: Box<[u16]>,
    shared: Rc<[u32]>,
    array: [Option<u8>; 3],
    heap: BinaryHeap<u32>,
    deque: VecDeque<u32>,
    wrapped: VecDeque<u32>,
    list: LinkedList<u32>,
    no_list: LinkedList<u32>,
}

#[inline(never)]
fn see_vectors(v: &Vectors) {
    mark(2);
    see(v);
}

struct Pointers {
    boxed: Box<Point>,
    rc: Rc<Point>,
    arc: Arc<Point>,
    weak: Weak<Point>,
    dangling: Weak<Point>,
    dead: Weak<Point>,
    some: Option<Box<Point>>,
    none: Option<Rc<Point>>,
    pinned: Pin<Box<u32>>,
    null: *const Point,
}

#[inline(never)]
fn see_pointers(v: &Pointers) {
    mark(3);
    see(v);
}

struct Cells {
    cell: Cell<u32>,
    text: Cell<String>,
    maybe: UnsafeCell<MaybeUninit<u64>>,
    free: RefCell<u32>,
    read: RefCell<u32>,
    written: RefCell<u32>,
    unlocked: Mutex<u32>,
    locked: Mutex<u32>,
    poisoned: Mutex<u32>,
    idle: RwLock<u32>,
    reading: RwLock<u32>,
    writing: RwLock<u32>,
}

#[inline(never)]
fn see_cells(v: &Cells) {
    mark(4);
    see(v);
}

struct Maps {
    empty: Map<u32, u32>,
    one: Map<String, u32>,
    many: Map<u32, u64>,
    removed: Map<u32, u8>,
    set: Set<u16>,
    nested: Map<String, Vec<Option<Arc<u32>>>>,
}

#[inline(never)]
fn see_maps(v: &Maps) {
    mark(5);
    see(v);
}

struct Trees {
    empty: BTreeMap<u32, u32>,
    one: BTreeMap<u32, String>,
    leaf: BTreeMap<u8, u16>,
    many: BTreeMap<u32, u64>,
    texts: BTreeMap<String, Vec<u8>>,
    set: BTreeSet<u8>,
}

#[inline(never)]
fn see_trees(v: &Trees) {
    mark(6);
    see(v);
}

struct Numbers {
    positive: NonZeroU32,
    negative: NonZeroI64,
    none: Option<NonZeroU32>,
    truth: AtomicBool,
    atomic: AtomicI32,
    wide: AtomicU64,
    pointer: AtomicPtr<u32>,
    duration: Duration,
    no_duration: Option<Duration>,
    system: SystemTime,
    instant: Instant,
}

#[inline(never)]
fn see_numbers(v: &Numbers) {
    mark(7);
    see(v);
}

struct Node {
    value: u32,
    next: RefCell<Option<Rc<Node>>>,
    first: RefCell<Weak<Node>>,
}

#[inline(never)]
fn see_circle(v: &Rc<Node>) {
    mark(8);
    see(v);
}

trait Shape {
    fn area(&self) -> u32;
}

struct Square(u32);

struct Named {
    name: String,
    width: u32,
}

impl Shape for Square {
    fn area(&self) -> u32 {
        self.0 * self.0
    }
}

impl Shape for Named {
    fn area(&self) -> u32 {
        self.width + self.name.len() as u32
    }
}

struct Dynamics {
    square: Box<dyn Shape>,
    named: Box<dyn Shape>,
    borrowed: &'static dyn Shape,
    shared: Arc<dyn Shape>,
    none: Option<Box<dyn Shape>>,
    many: Vec<Box<dyn Shape>>,
}

#[inline(never)]
fn see_dynamics(v: &Dynamics) {
    mark(9);
    see(v.many.iter().map(|shape| shape.area()).sum::<u32>());
    see(v);
}

#[inline(never)]
fn see_closure<F: Fn(u32) -> u32>(v: &F) {
    mark(10);
    see(v(3));
}

struct Yield(bool);

impl Future for Yield {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        if self.0 {
            return Poll::Ready(7);
        }
        self.0 = true;
        Poll::Pending
    }
}

async fn inner(name: String) -> u32 {
    let length = name.len() as u32;
    let number = Yield(false).await; // inner waits
    number + length + name.len() as u32
}

async fn outer(start: u32) -> u32 {
    let text = format!("from {}", start);
    let number = inner(text.clone()).await; // outer waits
    see(&text);
    number + start
}

#[inline(never)]
fn see_fresh<F: Future>(v: &Pin<Box<F>>) {
    mark(11);
    see(v);
}

#[inline(never)]
fn see_waiting<F: Future>(v: &Pin<Box<F>>) {
    mark(12);
    see(v);
}

#[inline(never)]
fn see_finished<F: Future>(v: &Pin<Box<F>>) {
    mark(13);
    see(v);
}

/// By value: small ones are in registers where the compiler likes it.
#[inline(never)]
fn see_values(vector: Vec<u32>, text: String, some: Option<u32>, boxed: Box<Point>, slice: &[u32]) {
    mark(14);
    see((&vector, &text, &some, &boxed, slice));
    mark(17); // see_values
    see((&vector, &text, &some, &boxed, slice));
}

#[inline(never)]
fn see_broken(
    longer: &Vec<u32>,
    wild: &Vec<u32>,
    text: &String,
    deque: &VecDeque<u32>,
    more: &Map<u32, u32>,
    table: &Map<u32, u32>,
) {
    mark(15);
    see((longer, wild, text, deque, more, table));
}

#[inline(never)]
fn see_broken_nodes(
    high: &BTreeMap<u32, u32>,
    counted: &BTreeMap<u32, u32>,
    root: &BTreeMap<u32, u32>,
    list: &LinkedList<u32>,
    shared: &Rc<Point>,
) {
    mark(16);
    see((high, counted, root, list, shared));
}

/// A value with another word in place of the one that is `from` now; never dropped.
fn poke<T>(value: T, from: usize, to: usize) -> MaybeUninit<T> {
    let mut value = MaybeUninit::new(value);
    let words = value.as_mut_ptr().cast::<usize>();
    for index in 0..size_of::<T>() / size_of::<usize>() {
        // SAFETY: within the value, which is aligned for words.
        unsafe {
            if *words.add(index) == from {
                *words.add(index) = to;
                return value;
            }
        }
    }
    panic!("no word is {}", from);
}

fn all_strings() {
    see_strings(&Strings {
        empty: String::new(),
        text: "hello".into(),
        unicode: "grüße".into(),
        os: "os".into(),
        path: "/tmp/x".into(),
        c: CString::new("c text").unwrap(),
        boxed: "boxed".into(),
        borrowed: Cow::Borrowed("borrowed"),
        owned: Cow::Owned("owned".into()),
        rc: "rc".into(),
        arc: "arc".into(),
        none: None,
        some: Some("some".into()),
        long: "x".repeat(5000),
    });
}

fn all_vectors() {
    let mut spare = Vec::with_capacity(10);
    spare.push(7);
    let mut wrapped = VecDeque::with_capacity(7);
    let room = wrapped.capacity() as u32;
    wrapped.extend(0..room);
    for number in 100..103 {
        wrapped.pop_front();
        wrapped.push_back(number);
    }
    while wrapped.len() > 5 {
        wrapped.pop_front();
    }
    see_vectors(&Vectors {
        empty: Vec::new(),
        one: vec![1],
        spare,
        many: (0..1000).collect(),
        points: vec![Point { x: 1, y: -2 }, Point { x: 3, y: 4 }],
        nested: vec![vec!["a".into(), "b".into()], vec![]],
        units: vec![(), ()],
        boxed: vec![1, 2].into(),
        shared: vec![4, 5].into(),
        array: [Some(1), None, Some(3)],
        heap: vec![1, 5, 2].into(),
        deque: (0..3).collect(),
        wrapped,
        list: (1..4).collect(),
        no_list: LinkedList::new(),
    });
}

fn all_pointers() {
    let rc = Rc::new(Point { x: 5, y: 6 });
    let dead = Rc::downgrade(&Rc::new(Point { x: 9, y: 9 }));
    see_pointers(&Pointers {
        boxed: Box::new(Point { x: 1, y: 2 }),
        weak: Rc::downgrade(&rc),
        rc: Rc::clone(&rc),
        arc: Arc::new(Point { x: 7, y: 8 }),
        dangling: Weak::new(),
        dead,
        some: Some(Box::new(Point { x: 0, y: 1 })),
        none: None,
        pinned: Box::pin(3),
        null: std::ptr::null(),
    });
}

fn all_cells() {
    let all = Cells {
        cell: Cell::new(1),
        text: Cell::new("a cell".to_owned()),
        maybe: UnsafeCell::new(MaybeUninit::new(9)),
        free: RefCell::new(2),
        read: RefCell::new(3),
        written: RefCell::new(4),
        unlocked: Mutex::new(5),
        locked: Mutex::new(6),
        poisoned: Mutex::new(7),
        idle: RwLock::new(8),
        reading: RwLock::new(9),
        writing: RwLock::new(10),
    };
    let poison = || {
        let _guard = all.poisoned.lock();
        resume_unwind(Box::new(()));
    };
    assert!(catch_unwind(AssertUnwindSafe(poison)).is_err());
    let _read = (all.read.borrow(), all.read.borrow());
    let _written = all.written.borrow_mut();
    let _locked = all.locked.lock();
    let _reading = (all.reading.read(), all.reading.read());
    let _writing = all.writing.write();
    see_cells(&all);
}

fn all_maps() {
    let mut removed: Map<u32, u8> = (0..20).map(|number| (number, number as u8)).collect();
    removed.retain(|number, _| *number == 3 || *number == 17);
    see_maps(&Maps {
        empty: Map::default(),
        one: vec![("key".to_owned(), 1)].into_iter().collect(),
        many: (0..1000).map(|number| (number, u64::from(number) * 10)).collect(),
        removed,
        set: vec![5, 6].into_iter().collect(),
        nested: vec![("n".to_owned(), vec![Some(Arc::new(1)), None])].into_iter().collect(),
    });
}

fn all_trees() {
    see_trees(&Trees {
        empty: BTreeMap::new(),
        one: vec![(1, "one".to_owned())].into_iter().collect(),
        leaf: (0..5).map(|number| (number, u16::from(number) * 2)).collect(),
        many: (0..1000).map(|number| (number, u64::from(number) * 3)).collect(),
        texts: (0..30).map(|number| (format!("key {:02}", number), vec![number])).collect(),
        set: vec![3, 1].into_iter().collect(),
    });
}

fn all_numbers() {
    see_numbers(&Numbers {
        positive: NonZeroU32::new(4).unwrap(),
        negative: NonZeroI64::new(-4).unwrap(),
        none: None,
        truth: AtomicBool::new(true),
        atomic: AtomicI32::new(-1),
        wide: AtomicU64::new(8),
        pointer: AtomicPtr::default(),
        duration: Duration::new(1, 500),
        no_duration: None,
        system: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5),
        instant: Instant::now(),
    });
}

fn all_nodes() {
    let node = |value| {
        Rc::new(Node { value, next: RefCell::new(None), first: RefCell::new(Weak::new()) })
    };
    let (first, second) = (node(1), node(2));
    *second.first.borrow_mut() = Rc::downgrade(&first);
    *second.next.borrow_mut() = Some(Rc::clone(&first));
    *first.next.borrow_mut() = Some(second);
    see_circle(&first);
    first.next.borrow_mut().take();
}

fn all_dynamics() {
    static NAMED: Named = Named { name: String::new(), width: 1 };
    let named = |name: &str| Named { name: name.to_owned(), width: 2 };
    see_dynamics(&Dynamics {
        square: Box::new(Square(2)),
        named: Box::new(named("boxed")),
        borrowed: &NAMED,
        shared: Arc::new(named("shared")),
        none: None,
        many: vec![Box::new(Square(3)), Box::new(named("last"))],
    });
}

fn no_waker() -> RawWaker {
    fn clone(_: *const ()) -> RawWaker {
        no_waker()
    }
    fn nothing(_: *const ()) {}
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, nothing, nothing, nothing);
    RawWaker::new(std::ptr::null(), &TABLE)
}

fn all_code() {
    let (number, text) = (4, "captured".to_owned());
    let borrowed = vec![1, 2];
    let by_reference = &borrowed;
    see_closure(&move |more: u32| more + number + text.len() as u32 + by_reference.len() as u32);
    see_closure(&|more: u32| more + borrowed.len() as u32);
    // SAFETY: its functions do nothing.
    let waker = unsafe { Waker::from_raw(no_waker()) };
    let mut context = Context::from_waker(&waker);
    let mut future = Box::pin(outer(3));
    see_fresh(&future);
    assert!(future.as_mut().poll(&mut context).is_pending());
    see_waiting(&future);
    assert!(future.as_mut().poll(&mut context).is_ready());
    see_finished(&future);
}

fn all_broken() {
    let wild = 0x10usize;
    let vector = || -> Vec<u32> {
        let mut vector = Vec::with_capacity(5);
        vector.extend(0..3);
        vector
    };
    let map = || -> Map<u32, u32> { (0..5).map(|number| (number, number)).collect() };
    let tree = || -> BTreeMap<u32, u32> { (0..90).map(|number| (number, number)).collect() };
    let start = |vector: &Vec<u32>| vector.as_ptr() as usize;
    let of_wild = vector();
    let (own, of_deque) = (start(&of_wild), vector().into_iter().collect::<VecDeque<u32>>());
    let (table, root) = (map(), tree());
    // SAFETY: none of it is used as what it says to be.
    unsafe {
        let first = |value: *const usize, is: &dyn Fn(usize) -> bool, words: usize| {
            (0..words).map(|index| *value.add(index)).find(|word| is(*word)).unwrap()
        };
        let is_address = |word: usize| word > 0x1_0000_0000 && word < 1 << 47;
        let control = first((&table as *const Map<u32, u32>).cast(), &is_address, 4);
        let node = first((&root as *const BTreeMap<u32, u32>).cast(), &is_address, 3);
        let longer = poke(vector(), 3, 7);
        let of_wild = poke(of_wild, own, wild);
        let mut text = String::with_capacity(20);
        text.push_str("text of its own");
        let text = poke(text, 15, usize::MAX / 2);
        let room = of_deque.capacity();
        let deque = poke(of_deque, 3, room + 4);
        let more = poke(map(), 5, 6);
        let table = poke(table, control, wild);
        see_broken(
            &*longer.as_ptr(),
            &*of_wild.as_ptr(),
            &*text.as_ptr(),
            &*deque.as_ptr(),
            &*more.as_ptr(),
            &*table.as_ptr(),
        );
        let high = poke(tree(), 1, 2);
        let counted = poke(tree(), 90, 91);
        let root = poke(root, node, wild);
        let list = poke((1..5).collect::<LinkedList<u32>>(), 4, 5);
        let shared = Rc::new(Point { x: 1, y: 2 });
        let of_shared = (Rc::as_ptr(&shared) as usize) - 16;
        let shared = poke(shared, of_shared, wild);
        see_broken_nodes(
            &*high.as_ptr(),
            &*counted.as_ptr(),
            &*root.as_ptr(),
            &*list.as_ptr(),
            &*shared.as_ptr(),
        );
    }
}

fn main() {
    println!("ready");
    let mut rounds = 0;
    while std::io::stdin().read_line(&mut String::new()).unwrap() > 0 {
        all_strings();
        all_vectors();
        all_pointers();
        all_cells();
        all_maps();
        all_trees();
        all_numbers();
        all_nodes();
        all_dynamics();
        all_code();
        let boxed = Box::new(Point { x: 1, y: 2 });
        see_values(vec![1, 2], "by value".to_owned(), Some(3), boxed, &[4, 5]);
        all_broken();
        rounds += 1;
        assert!(SEEN.load(Ordering::Relaxed) > 0);
        println!("done {}", rounds);
        std::io::stdout().flush().unwrap();
    }
}
