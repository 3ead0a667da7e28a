//! The capture interpreter over a made-up process: what the kernel program does, without a kernel.

use std::collections::BTreeMap;
use tracer_common::code::{Code, Edge, Layout, Op, TEXT};
use tracer_common::limits::{CHUNK_BYTES, RED_ZONE_BYTES, STEPS_MAX};
use tracer_common::machine::{Machine, RecordBytes};
use tracer_common::maps::{Scratch, Site};
use tracer_common::status::{Status, flags};
use tracer_common::vm;
use tracer_common::wire::{ENTRY_REGISTERS, ItemKind, RECORD_HEADER};
use tracer_core::decode::record;
use tracer_core::model::record::{Item, Record};

const PAGE: u64 = CHUNK_BYTES as u64;
/// The stack pointer of the process; its stack is one page.
const RSP: u64 = 0x7fff_f000 - 0x400;

/// A process: pages of memory, registers and a plan.
#[derive(Default)]
struct World {
    pages: BTreeMap<u64, Vec<u8>>,
    registers: [u64; 17],
    /// The registers at the entry of calls, by key and frame.
    kept: BTreeMap<(u64, u64), [u64; ENTRY_REGISTERS]>,
    ops: Vec<Op>,
    layouts: Vec<Layout>,
    edges: Vec<Edge>,
    site: Site,
}

impl World {
    fn new() -> Self {
        let site = Site {
            stack_bytes: 256,
            bytes_max: 64 * 1024,
            text_max: 16,
            items_max: 100,
            depth_max: 5,
            nodes_max: 1000,
            ..Site::default()
        };
        let mut world = Self { site, ..Self::default() };
        world.registers[7] = RSP;
        world.map(RSP & !(PAGE - 1));
        world
    }

    fn map(&mut self, page: u64) {
        self.pages.insert(page, vec![0; PAGE as usize]);
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        for (at, byte) in (address..).zip(bytes) {
            let page = self.pages.entry(at & !(PAGE - 1)).or_insert_with(|| vec![0; 4096]);
            page[(at % PAGE) as usize] = *byte;
        }
    }

    fn write_word(&mut self, address: u64, word: u64) {
        self.write(address, &word.to_le_bytes());
    }

    fn byte(&self, address: u64) -> Option<u8> {
        self.pages.get(&(address & !(PAGE - 1))).map(|page| page[(address % PAGE) as usize])
    }

    /// A layout of `size` bytes with these edges.
    fn add_layout(&mut self, size: u32, edges: &[Edge]) -> u32 {
        let first = self.edges.len() as u32;
        self.edges.extend_from_slice(edges);
        let count = edges.len() as u32;
        self.layouts.push(Layout { size, edge_first: first, edge_count: count, reserved: 0 });
        self.layouts.len() as u32 - 1
    }

    fn run(&mut self) -> Record {
        self.run_for(STEPS_MAX)
    }

    fn run_for(&mut self, steps_max: u32) -> Record {
        let site = self.site;
        let mut scratch = scratch();
        vm::start(&mut scratch, &site, self.registers[7], 1);
        let mut steps = 0;
        while !vm::step(&mut scratch, &site, self) {
            steps += 1;
            if steps == steps_max {
                vm::cut(&mut scratch.state);
                break;
            }
        }
        record_of(&mut scratch)
    }
}

impl Machine for World {
    fn register(&self, _record: &RecordBytes, number: u8) -> u64 {
        self.registers.get(usize::from(number)).copied().unwrap_or(0)
    }

    fn read(&mut self, record: &mut RecordBytes, at: u32, length: u32, address: u64) -> bool {
        assert!(length <= CHUNK_BYTES);
        for offset in 0..u64::from(length) {
            let Some(byte) = self.byte(address.wrapping_add(offset)) else { return false };
            record[at as usize + offset as usize] = byte;
        }
        true
    }

    fn entry(&mut self, record: &mut RecordBytes, at: u32, key: u64, frame: u64) -> bool {
        let Some(kept) = self.kept.get(&(key, frame)) else { return false };
        for (at, word) in (at as usize..).step_by(8).zip(kept) {
            record[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        true
    }

    fn read_text(
        &mut self,
        record: &mut RecordBytes,
        at: u32,
        length: u32,
        address: u64,
    ) -> Option<u32> {
        assert!(0 < length && length <= CHUNK_BYTES);
        for offset in 0..length {
            let byte = self.byte(address.wrapping_add(u64::from(offset)))?;
            record[(at + offset) as usize] = byte;
            if byte == 0 {
                return Some(offset + 1);
            }
        }
        record[(at + length - 1) as usize] = 0;
        Some(length)
    }

    fn op(&self, index: u32) -> Option<Op> {
        self.ops.get(index as usize).copied()
    }

    fn layout(&self, index: u32) -> Option<Layout> {
        self.layouts.get(index as usize).copied()
    }

    fn edge(&self, index: u32) -> Option<&Edge> {
        self.edges.get(index as usize)
    }
}

fn scratch() -> Box<Scratch> {
    // Filled with a pattern: what a hit does not write must not be sent.
    let bytes = vec![0xa5_u8; size_of::<Scratch>()].into_boxed_slice();
    let mut scratch = zeroed_scratch();
    let length = scratch.record.len();
    scratch.record.copy_from_slice(&bytes[..length]);
    scratch
}

fn zeroed_scratch() -> Box<Scratch> {
    Box::new(Scratch {
        busy: 1,
        reserved: 0,
        state: Default::default(),
        queue: [Default::default(); 1024],
        visited: [Default::default(); 2048],
        record: [0; _],
    })
}

/// The record as the kernel program would send it, read by the real decoder.
fn record_of(scratch: &mut Scratch) -> Record {
    use tracer_common::wire::{MAGIC, RecordHeader, VERSION};
    use zerocopy::{FromBytes, IntoBytes};
    let size = scratch.state.at;
    let bytes = &mut scratch.record[..size as usize];
    let header = RecordHeader::mut_from_prefix(bytes).unwrap().0;
    *header = RecordHeader {
        magic: MAGIC,
        version: VERSION,
        flags: scratch.state.flags as u16,
        size,
        items: scratch.state.items,
        ..RecordHeader::read_from_bytes(&[0; RECORD_HEADER as usize]).unwrap()
    };
    assert_eq!(header.as_bytes().len(), RECORD_HEADER as usize);
    record::parse(bytes).unwrap()
}

fn root(ops: &[Op]) -> Vec<Op> {
    let mut all = vec![Op::on(Code::Root, ops.len() as u32, 0)];
    all.extend_from_slice(ops);
    all
}

fn register(number: u8) -> Op {
    Op::new(Code::Register, number, 0)
}

fn objects(record: &Record) -> Vec<&Item> {
    record.items.iter().filter(|item| item.kind != ItemKind::Stack).collect()
}

const END: Op = Op::new(Code::End, 0, 0);
const OBJECT: u64 = 0x10_0000;

#[test]
fn the_stack_comes_first_with_the_red_zone() {
    let mut world = World::new();
    world.write_word(RSP, 0x1122);
    world.ops = vec![END];
    let record = world.run();
    let stack = &record.items[0];
    assert_eq!(record.items.len(), 1);
    assert_eq!((stack.kind, stack.status), (ItemKind::Stack, Status::Read));
    assert_eq!(stack.address.0, RSP - RED_ZONE_BYTES);
    assert_eq!(stack.bytes.len() as u64, 256 + RED_ZONE_BYTES);
    assert_eq!(stack.bytes[128..136], 0x1122_u64.to_le_bytes());
}

#[test]
fn a_red_zone_on_an_untouched_page_does_not_hide_the_stack() {
    for above in [0, 1, 64, 127] {
        let mut world = World::new();
        let page = RSP & !(PAGE - 1);
        world.registers[7] = page + above;
        world.write_word(page + above, 0x1122);
        world.ops = vec![END];
        let record = world.run();
        let stack = &record.items[0];
        assert_eq!((stack.status, stack.address.0), (Status::Read, page), "{above} bytes above");
        let at = above as usize;
        assert_eq!(stack.bytes[at..at + 8], 0x1122_u64.to_le_bytes());
        assert_eq!(stack.bytes.len(), 256 + at);
    }
}

#[test]
fn a_record_is_well_formed_wherever_the_steps_run_out() {
    for steps in 1..200 {
        let mut world = World::new();
        let node = world.add_layout(PAGE as u32 * 2, &[Edge::one(0, 0), Edge::one(8, TEXT)]);
        for page in 0..6 {
            world.map(OBJECT + page * PAGE);
            world.write_word(OBJECT + page * PAGE, OBJECT + (page + 1) * PAGE);
            world.write_word(OBJECT + page * PAGE + 8, OBJECT + page * PAGE + 100);
            world.write(OBJECT + page * PAGE + 100, &[b'x'; 300]);
        }
        world.registers[5] = OBJECT;
        world.ops = [root(&[register(5), Op::on(Code::Chase, node, 1)]), vec![END]].concat();
        // Parsing is the test.
        let record = world.run_for(steps);
        let cut = record.flags & flags::LIMIT_STEPS != 0;
        assert!(cut || record.items.len() == world.run().items.len(), "{steps} steps");
    }
}

#[test]
fn a_stack_that_ends_is_a_partial_read() {
    let mut world = World::new();
    world.site.stack_bytes = 16 * 1024;
    world.ops = vec![END];
    let record = world.run();
    assert_eq!(record.items[0].status, Status::Fault);
    assert_eq!(record.items[0].bytes.len() as u64, 0x400 + RED_ZONE_BYTES);
    // Looked for behind it, in vain.
    assert_eq!((record.items[1].status, record.items[1].bytes.len()), (Status::Fault, 0));
    assert_eq!(record.items.len(), 2);
}

#[test]
fn an_untouched_array_on_the_stack_does_not_hide_the_callers() {
    let mut world = World::new();
    world.site.stack_bytes = 16 * 1024;
    let page = RSP & !(PAGE - 1);
    world.write_word(page + 3 * PAGE + 8, 0x3344);
    world.ops = vec![END];
    let record = world.run();
    let stack: Vec<(u64, usize)> =
        record.items.iter().map(|item| (item.address.0, item.bytes.len())).collect();
    let end = RSP + 16 * 1024;
    assert_eq!(stack[0], (RSP - RED_ZONE_BYTES, 0x400 + RED_ZONE_BYTES as usize));
    assert_eq!(stack[1], (page + 3 * PAGE, PAGE as usize));
    assert_eq!(record.items[1].bytes[8..16], 0x3344_u64.to_le_bytes());
    assert!(end > page + 4 * PAGE && stack.len() <= 3);
}

#[test]
fn a_cycle_is_copied_once() {
    let mut world = World::new();
    let node = world.add_layout(16, &[Edge::one(0, 0)]);
    world.write_word(OBJECT, OBJECT + 64);
    world.write_word(OBJECT + 64, OBJECT);
    world.registers[5] = OBJECT;
    world.ops = [root(&[register(5), Op::on(Code::Chase, node, 1)]), vec![END]].concat();
    let record = world.run();
    let addresses: Vec<u64> = objects(&record).iter().map(|item| item.address.0).collect();
    assert_eq!(addresses, [OBJECT, OBJECT + 64]);
    assert_eq!(record.flags, 0);
}

#[test]
fn the_depth_limit_stops_a_list_and_is_noted() {
    let mut world = World::new();
    let node = world.add_layout(8, &[Edge::one(0, 0)]);
    for n in 0..50 {
        world.write_word(OBJECT + n * 8, OBJECT + n * 8 + 8);
    }
    world.registers[5] = OBJECT;
    world.ops = [root(&[register(5), Op::on(Code::Chase, node, 1)]), vec![END]].concat();
    let record = world.run();
    assert_eq!(objects(&record).len(), 5);
    assert_eq!(objects(&record).last().unwrap().depth, 5);
    assert_eq!(record.flags, flags::LIMIT_DEPTH);
}

/// A tree of 7 nodes, 0 to 6 in order: pointers left, right, parent and a number each 64 bytes.
fn plant(world: &mut World) {
    let at = |n: u64| if n == 7 { 0 } else { OBJECT + 0x100 + n * 64 };
    let nodes = [(7, 7, 1), (0, 2, 3), (7, 7, 1), (1, 5, 7), (7, 7, 5), (4, 6, 3), (7, 7, 5)];
    for (n, (left, right, parent)) in (0..).zip(nodes) {
        for (index, link) in (0..).zip([left, right, parent]) {
            world.write_word(at(n) + index * 8, at(link));
        }
    }
    // The container: its leftmost node and how many there are.
    world.write_word(OBJECT, at(0));
    world.write_word(OBJECT + 8, 7);
}

/// The nodes of a tree, by their order in it.
fn nodes_of_a_tree(most: u32) -> Vec<u64> {
    let mut world = World::new();
    plant(&mut world);
    let link = |offset| Edge { flags: Edge::LINK, ..Edge::one(offset, 0) };
    world.add_layout(32, &[link(16), link(8), link(0)]);
    let first = Edge { flags: Edge::NODES, ..Edge::many(0, 0, 8, most) };
    let container = world.add_layout(16, &[first]);
    world.registers[5] = OBJECT;
    world.ops = [root(&[register(5), Op::on(Code::Copy, container, 1)]), vec![END]].concat();
    let record = world.run();
    assert_eq!(record.flags, 0);
    let nodes = objects(&record).into_iter().skip(1);
    nodes
        .map(|item| {
            assert_eq!(item.depth, 1, "nodes are on one level");
            (item.address.0 - OBJECT - 0x100) / 64
        })
        .collect()
}

#[test]
fn the_nodes_of_a_tree_are_one_level_and_come_nearly_in_order() {
    assert_eq!(nodes_of_a_tree(100), [0, 1, 2, 3, 5, 4, 6]);
    assert_eq!(nodes_of_a_tree(4), [0, 1, 2, 3]);
}

#[test]
fn a_guard_says_whether_a_pointer_is_one() {
    let guarded = |tag: u64, unless: u32| {
        let mut world = World::new();
        let behind = world.add_layout(8, &[]);
        let guard = Edge {
            guard: 8,
            guard_size: 1,
            guard_low: 3,
            guard_span: 2,
            flags: unless,
            ..Edge::one(0, behind)
        };
        let object = world.add_layout(16, &[guard]);
        world.write_word(OBJECT, OBJECT + 64);
        world.write_word(OBJECT + 8, tag);
        world.registers[5] = OBJECT;
        world.ops = [root(&[register(5), Op::on(Code::Copy, object, 1)]), vec![END]].concat();
        objects(&world.run()).len() == 2
    };
    assert_eq!([2, 3, 5, 6, 0x103].map(|tag| guarded(tag, 0)), [false, true, true, false, true]);
    assert_eq!([2, 3, 6].map(|tag| guarded(tag, Edge::UNLESS)), [true, false, true]);
}

#[test]
fn the_number_of_elements_is_computed_and_where_the_first_one_is() {
    let mut world = World::new();
    let element = world.add_layout(4, &[]);
    let between = Edge { count_from: 0, divisor: 4, plus: 1, ..Edge::many(0, element, 8, 100) };
    let ring = Edge { first: 16, factor: 4, ..Edge::many(0, element, 16, 2) };
    let inside = Edge { flags: Edge::BYTES, ..Edge::many(24, element, 16, 100) };
    let object = world.add_layout(32, &[between, ring, inside]);
    for (index, word) in (0..).zip([OBJECT + 64, OBJECT + 76, 3, OBJECT]) {
        world.write_word(OBJECT + index * 8, word);
    }
    world.registers[5] = OBJECT;
    world.ops = [root(&[register(5), Op::on(Code::Copy, object, 1)]), vec![END]].concat();
    let record = world.run();
    let found: Vec<_> = objects(&record).iter().map(|item| (item.address.0, item.want)).collect();
    // Three and one more; two from the third one on; what is in the object is copied with it.
    assert_eq!(found, [(OBJECT, 32), (OBJECT + 64, 16), (OBJECT + 76, 8)]);
}

#[test]
fn only_slots_that_are_taken_are_followed() {
    let mut world = World::new();
    let behind = world.add_layout(8, &[]);
    let slot = world.add_layout(8, &[Edge::one(0, behind)]);
    let slots = Edge { flags: Edge::SLOTS, plus: 1, ..Edge::many(0, slot, 8, 100) };
    let table = world.add_layout(16, &[slots]);
    let control = OBJECT + 256;
    world.write_word(OBJECT, control);
    world.write_word(OBJECT + 8, 3);
    world.write(control, &[0xff, 0x12, 0x80, 0x7f]);
    for slot in 0..4 {
        world.write_word(control - 8 * (slot + 1), OBJECT + 1024 + slot * 16);
    }
    world.registers[5] = OBJECT;
    world.ops = [root(&[register(5), Op::on(Code::Copy, table, 1)]), vec![END]].concat();
    let record = world.run();
    let found: Vec<_> = objects(&record).iter().map(|item| (item.address.0, item.want)).collect();
    let of = |slot: u64| (OBJECT + 1024 + slot * 16, 8);
    assert_eq!(found, [(OBJECT, 16), (control - 32, 36), of(3), of(1)]);
}

#[test]
fn the_byte_limit_cuts_an_object_and_ends_the_chase() {
    let mut world = World::new();
    world.site.bytes_max = 256;
    let big = world.add_layout(4096, &[]);
    for page in 0..3 {
        world.map(OBJECT + page * PAGE);
    }
    world.registers[5] = OBJECT;
    let chase = root(&[register(5), Op::on(Code::Chase, big, 2)]);
    world.ops = [chase.clone(), chase, vec![END]].concat();
    let record = world.run();
    let cut = objects(&record)[0];
    assert_eq!((cut.status, cut.want), (Status::LimitBytes, 8192));
    assert!(!cut.bytes.is_empty() && cut.bytes.len() < 256);
    assert_eq!(record.flags, flags::LIMIT_BYTES);
}

#[test]
fn an_object_keeps_the_pages_before_the_missing_one() {
    let mut world = World::new();
    let big = world.add_layout(8192, &[]);
    world.map(OBJECT);
    world.registers[5] = OBJECT;
    world.ops = [root(&[register(5), Op::on(Code::Chase, big, 1)]), vec![END]].concat();
    let record = world.run();
    let object = objects(&record)[0];
    assert_eq!((object.status, object.bytes.len(), object.want), (Status::Fault, 4096, 8192));
}

/// A record with the one string at `address`.
fn text_at(world: &mut World, address: u64) -> Item {
    world.registers[5] = address;
    world.ops = [root(&[register(5), Op::new(Code::ChaseText, 0, 0)]), vec![END]].concat();
    let record = world.run();
    let texts = objects(&record);
    assert_eq!((texts.len(), texts[0].kind), (1, ItemKind::Text));
    texts[0].clone()
}

#[test]
fn strings_of_every_length_around_the_limit_are_exact() {
    for length in 0..40_u64 {
        // At every distance from the end of the only page.
        for slack in 0..3 {
            let mut world = World::new();
            world.map(OBJECT);
            let start = OBJECT + PAGE - 1 - length - slack;
            let bytes: Vec<u8> = (0..length).map(|n| b'a' + (n % 26) as u8).collect();
            world.write(start, &bytes);
            let item = text_at(&mut world, start);
            let shown = bytes.len().min(16);
            assert_eq!(item.bytes, bytes[..shown], "length {length}, slack {slack}");
            assert_eq!(item.want, length, "length {length}, slack {slack}");
            let status = if length > 16 { Status::LimitText } else { Status::Read };
            assert_eq!(item.status, status, "length {length}, slack {slack}");
        }
    }
}

#[test]
fn a_string_on_a_missing_page_is_a_fault_and_not_empty() {
    let item = text_at(&mut World::new(), OBJECT);
    assert_eq!((item.status, item.bytes.len()), (Status::Fault, 0));
}

#[test]
fn a_string_that_runs_into_a_missing_page_keeps_its_start() {
    let mut world = World::new();
    world.write(OBJECT + PAGE - 4, b"abcd");
    let item = text_at(&mut world, OBJECT + PAGE - 4);
    assert_eq!((item.status, item.bytes.as_slice()), (Status::Fault, b"abcd".as_slice()));
}

#[test]
fn an_endless_string_has_a_lower_bound_for_its_length() {
    let mut world = World::new();
    for page in 0..40 {
        world.write(OBJECT + page * PAGE, &[b'x'; PAGE as usize]);
    }
    let item = text_at(&mut world, OBJECT);
    assert_eq!((item.status, item.bytes.len()), (Status::LimitTextAtLeast, 16));
    assert!(item.want >= 64 * 1024);
}

#[test]
fn the_elements_of_a_slice_are_limited() {
    let mut world = World::new();
    let number = world.add_layout(4, &[]);
    world.map(OBJECT);
    world.registers[5] = OBJECT;
    world.registers[4] = 1 << 60;
    let slice = [register(5), register(4), Op::on(Code::ChaseSlice, number, 0)];
    world.ops = [root(&slice), vec![END]].concat();
    let record = world.run();
    assert_eq!(objects(&record)[0].bytes.len(), 400);
}

#[test]
fn a_dereference_that_fails_skips_its_root_only() {
    let mut world = World::new();
    let number = world.add_layout(4, &[]);
    world.map(OBJECT);
    world.registers[5] = OBJECT;
    let lost = [register(4), Op::new(Code::Deref, 8, 0), Op::on(Code::Copy, number, 1)];
    let found = [register(5), Op::on(Code::Copy, number, 1)];
    world.ops = [root(&lost), root(&found), vec![END]].concat();
    let record = world.run();
    let items = objects(&record);
    assert_eq!((items[0].kind, items[0].status), (ItemKind::Deref, Status::Fault));
    assert_eq!((items[1].kind, items[1].address.0), (ItemKind::Object, OBJECT));
    assert_eq!(record.flags, flags::ROOT_FAULT);
}

#[test]
fn what_a_dereference_reads_is_in_the_record() {
    let mut world = World::new();
    let number = world.add_layout(4, &[]);
    world.write_word(OBJECT, OBJECT + 0x100);
    world.registers[5] = OBJECT;
    let ops = [register(5), Op::new(Code::Deref, 8, 0), Op::on(Code::Copy, number, 1)];
    world.ops = [root(&ops), vec![END]].concat();
    let record = world.run();
    let items = objects(&record);
    assert_eq!(items[0].bytes, (OBJECT + 0x100).to_le_bytes());
    assert_eq!(items[1].address.0, OBJECT + 0x100);
}

/// A small generator, the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// COST-1, HOST-1
#[test]
fn random_plans_over_random_memory_stay_within_every_limit() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..300 {
        let mut world = random_world(&mut random);
        // `record::parse` has checked sizes, bounds and statuses.
        let record = world.run();
        let limit = world.site.bytes_max as usize;
        let bytes: usize = objects(&record).iter().map(|item| item.bytes.len()).sum();
        assert!(bytes <= limit, "{bytes} bytes of {limit}");
        let deepest = objects(&record).iter().map(|item| item.depth).max().unwrap_or(0);
        assert!(u32::from(deepest) <= world.site.depth_max);
        let nodes = objects(&record).iter().filter(|item| item.depth > 0).count();
        assert!(nodes <= world.site.nodes_max as usize);
        let objects_at = record.items.iter().position(|item| item.kind != ItemKind::Stack);
        let behind = &record.items[objects_at.unwrap_or(record.items.len())..];
        assert!(!behind.iter().any(|item| item.kind == ItemKind::Stack));
    }
}

fn random_world(random: &mut Random) -> World {
    let mut world = World::new();
    world.site.bytes_max = 64 + random.below(8192) as u32;
    world.site.depth_max = random.below(8) as u32;
    world.site.nodes_max = random.below(200) as u32;
    for page in 0..4 {
        world.map(OBJECT + page * PAGE);
        for word in 0..PAGE / 8 {
            let pointer = OBJECT - 64 + random.below(5 * PAGE);
            world.write_word(OBJECT + page * PAGE + word * 8, pointer);
        }
    }
    for register in &mut world.registers[..6] {
        *register = OBJECT + random.below(4 * PAGE);
    }
    for _ in 0..6 {
        let edges: Vec<Edge> = (0..random.below(5)).map(|_| random_edge(random)).collect();
        world.add_layout(random.below(200) as u32, &edges);
    }
    world.ops = (0..40)
        .map(|_| Op {
            code: random.below(34) as u8,
            arg: random.below(20) as u8,
            reserved: 0,
            layout: random.below(8) as u32,
            imm: random.below(300),
        })
        .collect();
    world
}

fn random_edge(random: &mut Random) -> Edge {
    let target = if random.below(4) == 0 { TEXT } else { random.below(7) as u32 };
    let field = |random: &mut Random| match random.below(3) {
        0 => Edge::NONE,
        _ => random.below(64) as u32,
    };
    Edge {
        offset: random.below(200) as u32,
        target,
        count_to: field(random),
        count_from: field(random),
        divisor: random.below(20) as u32,
        plus: random.below(3) as u32,
        most: 100,
        first: field(random),
        factor: random.below(32) as u32,
        guard: if random.below(2) == 0 { Edge::NONE } else { random.below(64) as u32 },
        guard_span: u32::MAX,
        guard_low: random.below(1 << 33),
        guard_size: random.below(10) as u32,
        flags: random.below(64) as u32,
        reserved: 0,
    }
}

/// SEM-6
#[test]
fn what_was_kept_at_the_entry_is_in_the_record_and_pointers_in_it_are_followed() {
    const KEY: u64 = 7;
    let mut world = World::new();
    world.site.entry_key = KEY;
    world.write_word(OBJECT, 42);
    let layout = world.add_layout(8, &[]);
    let frame = RSP + 32;
    let mut kept = [0; ENTRY_REGISTERS];
    (kept[5], kept[4]) = (OBJECT, 9);
    let entry = |number| Op::new(Code::EntryRegister, number, 0);
    let at_frame = [Op::new(Code::Register, 7, 32), Op::new(Code::Entry, 0, 0)];
    let chase = [entry(5), Op::on(Code::Chase, layout, 1)];
    world.ops = [root(&at_frame), root(&chase), vec![END]].concat();
    world.kept.insert((KEY, frame), kept);
    let record = world.run();
    let [entry, object] = objects(&record)[..] else { panic!("{record:?}") };
    assert_eq!((entry.kind, entry.address.0), (ItemKind::Entry, frame));
    let words: Vec<u64> =
        entry.bytes.chunks(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(words, kept);
    assert_eq!((object.address.0, object.bytes[0]), (OBJECT, 42));
    // Of another call, or of none: nothing follows from it.
    world.kept = [((KEY, frame + 16), kept), ((KEY - 1, frame), kept)].into();
    let record = world.run();
    let [entry] = objects(&record)[..] else { panic!("{record:?}") };
    assert_eq!((entry.kind, entry.bytes.len()), (ItemKind::Entry, 0));
}
