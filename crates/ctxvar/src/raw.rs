//! Values, blocks and the thread's current context: everything unsafe of this crate.
//!
//! ```text
//!   this thread ──▶ Block { len, .., parent, owned: 0b010, slots: [·, ·, ·] } ──parent──▶ Block { owned: 0b101, slots: [·, ·, ·] }
//!                                                                  │  │  └──────────────borrowed──────────────────────────│─────┐
//!                                                                  │  └▶ Node (its own)                                   │     ▼
//!                                                                  └──borrowed────────────────────────────────────────────┴▶ Nodes
//! ```
//!
//! A **node** is one value of one variable. A **block** is what a context holds: a pointer to a node for every variable, by the
//! variable's number. Both are counted by reference. A context that nobody shares is changed in place. One that a snapshot shares
//! is copied first, and the copy is what this design is about: it copies bare pointers, with no counting, and keeps the block
//! that it was copied from, its **parent**, alive instead; for the parent owns the nodes that the copy merely **borrows**.
//! Counting up every node costs an atomic operation each, which makes a copy of ten variables slower than Python's.
//!
//! What a parent holds alive is more than its children can see: the values that they have replaced since. So parents that nobody
//! else holds are merged with their children ([`Snapshot::take_in`]), a chain of such as are held ends after [`DEEPEST`] blocks in one
//! that owns all it sees, and a value whose destructor somebody might wait for is never
//! held that way: to replace such a one means to own everything at once ([`Snapshot::own_all`]).
//!
//! # What makes it sound
//!
//! 1. A node's bytes never change while it lives, but for its count. A block changes only while one [`Snapshot`] refers to it (count 1), by
//!    whoever has that snapshot to itself.
//! 2. Every node that a block's slots point to is owned by that block or by one of its parents, which it keeps alive.
//! 3. A node's generation belongs to one [`Key<T>`](crate::id::Key) and thereby to one `T`; no two keys ever have the same.
//! 4. Who shows a reference into the current context to code of others keeps a reference to its block meanwhile; or, if that code is no more
//!    than a `Clone`, announces it by a [`Glance`], with which whoever takes the block away from the thread leaves a count.
//! 5. Code of others (destructors, `Clone`, `Debug`, closures) runs only while thread and blocks are in order: it may do with this crate
//!    whatever it likes, and it may panic.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::far::Far;
use crate::id::{ContextIds, Key};
use crate::primitives::{AtomicU32, AtomicUsize, fence, per_thread};
use crate::var::{About, Inherit};

/// Variables with numbers below this have a slot of their own in each block (a kilobyte of them at most); the others share a tree.
pub(crate) const FLAT: u32 = 128;

/// So many blocks are kept alive by one another at most.
const DEEPEST: u8 = 16;

/// Destructors of values drop contexts, whose values' destructors drop contexts, so many deep at most.
const MOST_BURIALS: u32 = 16;

/// More references than that are a leak that is about to become an overflow.
const MOST: usize = isize::MAX as usize;

// ---- Nodes ----

/// What is known about a node without knowing its `T`.
struct Header {
    count: AtomicUsize,
    /// Whose value this is.
    generation: u64,
    operations: &'static Operations,
}

#[repr(C)]
struct Node<T> {
    header: Header,
    about: About<T>,
    value: T,
}

/// What a node of some `T` can do.
struct Operations {
    /// Whether anything happens when the value is dropped.
    needs_drop: bool,
    destroy: unsafe fn(NonNull<Header>),
    name: unsafe fn(NonNull<Header>) -> &'static str,
    any: unsafe fn(NonNull<Header>) -> NonNull<dyn Any>,
    print: unsafe fn(NonNull<Header>, &mut fmt::Formatter<'_>) -> fmt::Result,
    inherit: unsafe fn(NonNull<Header>) -> Heir,
}

/// What a child's context has in place of a value.
pub(crate) enum Heir {
    /// The value itself.
    Same,
    Nothing,
    Fork(Value),
}

impl<T: Send + Sync + 'static> Node<T> {
    const OPERATIONS: Operations = Operations {
        needs_drop: mem::needs_drop::<T>(),
        destroy: Self::destroy,
        name: |node| {
            // SAFETY: as `typed` asks of whoever calls an operation.
            unsafe { Self::typed(node) }.about.name
        },
        any: |node| {
            // SAFETY: as above.
            NonNull::from(&unsafe { Self::typed(node) }.value as &dyn Any)
        },
        print: |node, f| {
            // SAFETY: as above.
            let node = unsafe { Self::typed(node) };
            node.about.print(&node.value, f)
        },
        inherit: |node| {
            // SAFETY: as above.
            let Node { header, about, value } = unsafe { Self::typed(node) };
            match about.inherit {
                Inherit::Always => Heir::Same,
                Inherit::Never => Heir::Nothing,
                Inherit::Fork(fork) => Heir::Fork(Value::of_generation(header.generation, *about, fork(value))),
            }
        },
    };

    /// # Safety
    /// The node was made by [`Value::of_generation`] for this `T` and lives for `'a`.
    unsafe fn typed<'a>(node: NonNull<Header>) -> &'a Self {
        // SAFETY: `Node<T>` begins with its header; the pointer was made for the whole of it.
        unsafe { node.cast::<Self>().as_ref() }
    }

    /// # Safety
    /// As [`typed`](Self::typed), and nobody uses the node any more.
    unsafe fn destroy(node: NonNull<Header>) {
        /// Also if the value's destructor panics.
        struct Memory(NonNull<u8>, Layout);

        impl Drop for Memory {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: memory of that layout, which nobody uses any more.
                unsafe { free_node(self.0, self.1) };
            }
        }

        let _memory = Memory(node.cast(), Layout::new::<Self>());
        // SAFETY: done once: by whoever counted it down to zero.
        unsafe { node.cast::<Self>().drop_in_place() };
    }
}

/// One reference to a node.
#[repr(transparent)]
pub(crate) struct Value(NonNull<Header>);

// SAFETY: a node is made of a `T: Send + Sync`, counted atomically, and never changed.
unsafe impl Send for Value {}
// SAFETY: as above.
unsafe impl Sync for Value {}

impl Value {
    /// A value of the variable whose key this is.
    pub(crate) fn new<T: Send + Sync + 'static>(key: &Key<T>, about: About<T>, value: T) -> Self {
        Self::of_generation(key.generation(), about, value)
    }

    fn of_generation<T: Send + Sync + 'static>(generation: u64, about: About<T>, value: T) -> Self {
        let header = Header { count: AtomicUsize::new(1), generation, operations: &Node::<T>::OPERATIONS };
        let place = allocate_node(Layout::new::<Node<T>>()).cast::<Node<T>>();
        // SAFETY: fresh memory of that layout.
        unsafe { place.write(Node { header, about, value }) };
        Self(place.cast())
    }

    fn header(&self) -> &Header {
        // SAFETY: the node lives as long as a reference to it does.
        unsafe { self.0.as_ref() }
    }

    /// The value, if it is that variable's: its number may have been another's before.
    pub(crate) fn get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Option<&T> {
        // SAFETY: the generation is this key's alone, so the node was made for its `T`.
        (self.header().generation == key.generation()).then(|| unsafe { &Node::<T>::typed(self.0).value })
    }

    pub(crate) fn name(&self) -> &'static str {
        // SAFETY: a node's operations are those of its type, here and below.
        unsafe { (self.header().operations.name)(self.0) }
    }

    pub(crate) fn any(&self) -> &dyn Any {
        // SAFETY: as above; what it points to lies in the node.
        unsafe { (self.header().operations.any)(self.0).as_ref() }
    }

    pub(crate) fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: as above.
        unsafe { (self.header().operations.print)(self.0, f) }
    }

    pub(crate) fn heir(&self) -> Heir {
        // SAFETY: as above.
        unsafe { (self.header().operations.inherit)(self.0) }
    }

    fn needs_drop(&self) -> bool {
        self.header().operations.needs_drop
    }
}

impl Clone for Value {
    #[inline]
    fn clone(&self) -> Self {
        count_up(&self.header().count);
        Self(self.0)
    }
}

impl Drop for Value {
    #[inline]
    fn drop(&mut self) {
        let count = &self.header().count;
        // To count down the last one takes no locked instruction: nobody is there to count along.
        if count.load(Acquire) == 1 || count_down(count) {
            // SAFETY: that was the last reference, and the operations are those of its type.
            unsafe { (self.header().operations.destroy)(self.0) }
        }
    }
}

#[inline]
fn allocate_node(layout: Layout) -> NonNull<u8> {
    // SAFETY: it stays here.
    if let Some(place) = unsafe { Thread::here() }.take_spare_node(layout) {
        return place;
    }
    // SAFETY: a node is not empty.
    let Some(place) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
    place
}

/// Gives a node's memory back, or keeps it for the next one.
///
/// # Safety
/// Memory of [`allocate_node`], of that layout, that nobody uses any more.
unsafe fn free_node(place: NonNull<u8>, layout: Layout) {
    // SAFETY: it stays here.
    let (place, layout) = unsafe { Thread::here() }.keep_spare_node(place.as_ptr(), layout);
    if !place.is_null() {
        // SAFETY: as the caller says, or as an earlier one said.
        unsafe { dealloc(place, layout) };
    }
}

#[inline]
fn count_up(count: &AtomicUsize) {
    // Who has one reference may make another without looking at anything that others wrote.
    if count.fetch_add(1, Relaxed) > MOST {
        std::process::abort();
    }
}

/// Whether it was the last one.
#[inline]
fn count_down(count: &AtomicUsize) -> bool {
    if count.fetch_sub(1, Release) != 1 {
        return false;
    }
    // What others did with it happened before they counted down, and so before what we do next. The thread sanitizer knows no fences.
    if cfg!(tsan) {
        count.load(Acquire);
    } else {
        fence(Acquire);
    }
    true
}

// ---- Blocks ----

/// What a reader looks at. It comes first in a block, and is all there is of the empty one.
#[derive(Clone, Copy)]
#[repr(C, align(8))] // as slots are, also where there are none
struct Head {
    /// Number of slots.
    len: u32,
    depth: u8,
    /// Whether there are variables numbered [`FLAT`] and above.
    has_far: bool,
    /// Whether any value may be kept from children, or forked for them.
    is_selective: bool,
}

/// Followed by `len` slots.
#[repr(C)]
struct Block {
    head: Head,
    count: AtomicUsize,
    /// Owns the nodes that this one borrows; null if there are none.
    parent: *const Head,
    /// The slots whose nodes belong to this block: bit `i` of word `i / 64`.
    owned: Slots,
    /// Locks `parent` and `owned` while the block is shared: see [`Snapshot::part`].
    parting: AtomicU32,
    far: Far,
    /// Which context it is that this block is of, for whoever is [named](Snapshot::is_named); 0 if nobody asked yet.
    name: u64,
    /// The next one in a row of blocks that are to be freed.
    next: *mut Block,
}

type Slot = Option<NonNull<Header>>;

impl Block {
    /// Owns nothing, and has one reference.
    #[inline]
    fn new(head: Head) -> Self {
        Self {
            head,
            count: AtomicUsize::new(1),
            parent: ptr::null(),
            owned: Slots::NONE,
            parting: AtomicU32::new(0),
            far: Far::new(),
            name: 0,
            next: ptr::null_mut(),
        }
    }
}

/// A set of slots.
#[derive(Clone, Copy)]
struct Slots {
    /// Slot `i` is bit `i % 64` of word `i / 64`.
    words: [u64; (FLAT / 64) as usize],
    /// How many are in it.
    len: u32,
}

impl Slots {
    const NONE: Self = Self { words: [0; _], len: 0 };

    #[inline]
    fn has(&self, id: u32) -> bool {
        self.words[(id / 64) as usize] >> (id % 64) & 1 != 0
    }

    #[inline]
    fn put(&mut self, id: u32, is_in: bool) {
        self.len = self.len + u32::from(is_in) - u32::from(self.has(id));
        let word = &mut self.words[(id / 64) as usize];
        *word = *word & !(1 << (id % 64)) | u64::from(is_in) << (id % 64);
    }

    /// Takes one out. How many are left is not counted any more.
    #[inline]
    fn pop(&mut self) -> Option<u32> {
        let word = usize::from(self.words[0] == 0);
        let bits = self.words[word];
        self.words[word] = bits & bits.wrapping_sub(1);
        (bits != 0).then(|| word as u32 * 64 + bits.trailing_zeros())
    }

    #[inline]
    fn each(&self, mut visit: impl FnMut(u32)) {
        for (first, mut bits) in (0..).step_by(64).zip(self.words) {
            while bits != 0 {
                visit(first + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }
}

static NOTHING: Head = Head { len: 0, depth: 0, has_far: false, is_selective: false };

/// The block of contexts without values: no more than a head, never counted.
const EMPTY: NonNull<Head> = NonNull::from_ref(&NOTHING);

/// # Safety
/// `head` is a live block or [`EMPTY`], and nobody changes it meanwhile.
#[inline]
unsafe fn slots(head: NonNull<Head>) -> *mut Slot {
    // The empty block has none, and nobody follows the pointer then.
    head.as_ptr().cast::<u8>().wrapping_add(size_of::<Block>()).cast()
}

fn layout(len: u32) -> Layout {
    let slots = Layout::array::<Slot>(len as usize).expect("few slots");
    Layout::new::<Block>().extend(slots).expect("a small block").0.pad_to_align()
}

/// A block that owns nothing and has one reference.
#[inline]
fn allocate(head: Head) -> NonNull<Head> {
    // SAFETY: it stays here.
    let spare = unsafe { Thread::here() }.take_spare(head.len);
    let place = spare.unwrap_or_else(|| {
        let layout = layout(head.len);
        // SAFETY: the layout isn't empty.
        let Some(place) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        place.cast()
    });
    // SAFETY: a block's memory, for as many slots, that nobody uses. Made here, it is written once, where it is to be.
    unsafe { place.write(Block::new(head)) };
    place.cast()
}

/// One reference to a block: all the values of a context.
///
/// It may be **named**, which is a bit of the pointer: then the block's name is that of the context which this reference is. A context
/// keeps its name however often it has to copy its block; its clones, of the same block, are not named. This way a context is a
/// single word, and to enter one moves a single word.
#[repr(transparent)]
pub(crate) struct Snapshot(NonNull<Head>);

/// Blocks are aligned to more than that.
const NAMED: usize = 1;

/// The block, without the bit.
#[inline]
fn untagged(head: NonNull<Head>) -> NonNull<Head> {
    // SAFETY: the address of a head is more than one.
    unsafe { NonNull::new_unchecked(head.as_ptr().map_addr(|address| address & !NAMED)) }
}

// SAFETY: blocks are counted atomically, changed only while nobody shares them, and made of `Value`s, which are `Send` and `Sync`.
unsafe impl Send for Snapshot {}
// SAFETY: as above.
unsafe impl Sync for Snapshot {}

/// What had to make way for a value.
pub(crate) struct Replaced {
    pub(crate) old: Option<Value>,
    #[expect(dead_code, reason = "the block that was the context before: to drop it may run destructors")]
    displaced: Option<Snapshot>,
}

impl Replaced {
    const fn new(old: Option<Value>, displaced: Option<Snapshot>) -> Self {
        Self { old, displaced }
    }
}

impl Snapshot {
    pub(crate) const EMPTY: Self = Self(EMPTY);

    #[inline]
    fn at(&self) -> NonNull<Head> {
        untagged(self.0)
    }

    #[inline]
    fn is_empty_block(&self) -> bool {
        self.at() == EMPTY
    }

    /// Whether the block's name is ours.
    #[inline]
    fn is_named(&self) -> bool {
        self.0.addr().get() & NAMED != 0
    }

    /// 0 if nobody asked yet.
    #[inline]
    fn name(&self) -> u64 {
        // SAFETY: a live block; the empty one is nobody's name.
        if self.is_named() { unsafe { (*self.block()).name } } else { 0 }
    }

    /// For a block that is ours alone.
    fn set_name(&mut self, name: u64) {
        // SAFETY: as above.
        unsafe { (*self.block()).name = name };
        self.0 = self.0.map_addr(|address| address | NAMED);
    }

    #[inline]
    fn head(&self) -> &Head {
        // SAFETY: lives as long as a reference to it does, and changes only by `&mut self`, or through the thread, which hands out
        // no reference to its snapshot.
        unsafe { self.at().as_ref() }
    }

    /// The whole block, by pointer: the empty one is none.
    fn block(&self) -> *mut Block {
        debug_assert!(!self.is_empty_block(), "no more than a head");
        self.at().as_ptr().cast()
    }

    #[inline]
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.at() == other.at()
    }

    /// The slot's value.
    fn slot(&self, id: u32) -> Option<&Value> {
        // SAFETY: below the number of slots; a slot has the shape of an `Option<Value>`, and is not changed while `self` is borrowed.
        (id < self.head().len).then(|| unsafe { &*slots(self.at()).add(id as usize).cast::<Option<Value>>() })?.as_ref()
    }

    fn far(&self) -> Option<&Far> {
        // SAFETY: a block that has variables there isn't the empty one; as above.
        self.head().has_far.then(|| unsafe { &(*self.block()).far })
    }

    /// The value with that number, whoever's it is.
    pub(crate) fn find(&self, id: u32) -> Option<&Value> {
        self.slot(id).or_else(|| self.far()?.get(id))
    }

    /// All values, in the order of their variables' numbers, which come first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Value)> {
        let flat = (0..self.head().len).filter_map(|id| Some((id, self.slot(id)?)));
        flat.chain(self.far().into_iter().flat_map(Far::iter))
    }

    pub(crate) fn is_selective(&self) -> bool {
        self.head().is_selective
    }

    /// Nothing is kept from children any more, nor forked: it needn't be looked at again.
    pub(crate) fn clear_selective(&mut self) {
        if self.is_unique() {
            // SAFETY: ours alone.
            unsafe { (*self.block()).head.is_selective = false };
        }
    }

    #[inline]
    fn is_unique(&self) -> bool {
        // SAFETY: a live block. What the others did with it before they let go of it happened before.
        !self.is_empty_block() && unsafe { (*self.block()).count.load(Acquire) } == 1
    }

    /// Puts a value in the place of another, or of none. `self` is in order before destructors run: those of what is returned.
    #[inline]
    pub(crate) fn replace(&mut self, id: u32, new: Option<Value>, is_selective: bool) -> Replaced {
        if new.is_none() && self.find(id).is_none() {
            return Replaced::new(None, None);
        }
        self.make_room(id);
        let is_slot = id < FLAT;
        // SAFETY: `make_room` made the block ours alone and put the slot there, if it is to be one.
        let is_borrowed = unsafe {
            let head = &mut (*self.block()).head;
            head.is_selective |= is_selective;
            head.has_far |= !is_slot;
            !(is_slot && (*self.block()).owned.has(id))
        };
        // What is borrowed stays with the parent, where it lives on; fatal for what waits to be dropped.
        let would_linger = is_borrowed && self.find(id).is_some_and(Value::needs_drop);
        let displaced = if self.head().depth >= DEEPEST {
            self.own_all()
        } else if would_linger {
            self.part(id).or_else(|| self.own_all())
        } else {
            None
        };
        // SAFETY: as above.
        let block = unsafe { &mut *self.block() };
        if !is_slot {
            return Replaced::new(block.far.replace(id, new), displaced);
        }
        let was_owned = block.owned.has(id);
        block.owned.put(id, new.is_some());
        // SAFETY: a slot of a block that is ours alone. What was in there was ours, or is borrowed and needs a count of its own.
        let old = unsafe {
            let slot = slots(self.at()).add(id as usize);
            let old = slot.replace(new.map(|value| ManuallyDrop::new(value).0));
            old.map(|node| if was_owned { Value(node) } else { Value::clone(&ManuallyDrop::new(Value(node))) })
        };
        Replaced::new(old, displaced)
    }

    /// The variable's slot, if nobody shares the block, and the slot's value belongs to it.
    #[inline]
    fn own_slot(&mut self, id: u32) -> Option<&Cell<NonNull<Header>>> {
        // SAFETY: below the number of slots, so it is not the empty block either; a slot that is owned holds a node.
        unsafe {
            let is_ours = id < self.head().len && self.is_unique() && (*self.block()).owned.has(id);
            is_ours.then(|| &*slots(self.at()).add(id as usize).cast())
        }
    }

    /// Makes the block one of our own, with a slot for the variable if it is to have one.
    #[inline]
    fn make_room(&mut self, id: u32) {
        let Head { len: old_len, .. } = *self.head();
        let is_unique = self.is_unique();
        let len = if id < FLAT { old_len.max((id + 4) & !3) } else { old_len };
        if is_unique && len == old_len {
            return;
        }
        let head = Head { len, ..*self.head() };
        let name = self.name();
        let new = allocate(head);
        // SAFETY: fresh, ours alone, with room for at least as many slots. Our reference to the old block becomes the parent's; or
        // all that it has moves over, and its memory goes back with nothing in it.
        unsafe {
            let block = new.cast::<Block>().as_ptr();
            ptr::copy_nonoverlapping(slots(self.at()), slots(new), old_len as usize);
            for slot in old_len..len {
                slots(new).add(slot as usize).write(None);
            }
            if is_unique {
                let old = self.block();
                (*block).parent = (*old).parent;
                (*block).owned = (*old).owned;
                mem::swap(&mut (*block).far, &mut (*old).far);
                free(old);
            } else if !self.is_empty_block() {
                (*block).parent = self.at().as_ptr();
                (*block).head.depth += 1;
                (*block).far.clone_from(&(*self.block()).far);
            }
        }
        self.0 = new;
        if name != 0 {
            self.set_name(name);
        }
    }

    /// Leaves the parent, which would keep alive what the variable has there, for one that owns its other nodes. For a block that is ours
    /// alone. Returns the parent; `None`, and nothing has changed, if it is not the one that owns that value, or if somebody else, who
    /// shares it, is about the same right now.
    fn part(&mut self, id: u32) -> Option<Self> {
        // SAFETY: ours alone.
        let block = unsafe { &mut *self.block() };
        let parent = ManuallyDrop::new(Self(NonNull::new(block.parent.cast_mut())?));
        // SAFETY: a live block. What changes in it is read by nobody who shares it, but here, and by whoever has it alone one day.
        unsafe {
            let old = parent.block();
            // The tree of the others is every parent's.
            if id >= FLAT || (*old).parting.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
                return None;
            }
            let owns = (*old).owned.has(id);
            if owns {
                if (*old).owned.len > 1 {
                    // A block between it and its own parent. Nobody looks into that one.
                    let head = Head { has_far: false, ..*parent.head() };
                    let between = allocate(head);
                    ptr::copy_nonoverlapping(slots(parent.at()), slots(between), head.len as usize);
                    let its = &mut *between.cast::<Block>().as_ptr();
                    (its.parent, its.owned) = ((*old).parent, (*old).owned);
                    its.owned.put(id, false);
                    (*old).owned = Slots::NONE;
                    (*old).owned.put(id, true);
                    (*old).parent = between.as_ptr();
                }
                block.parent = (*old).parent;
                block.head.depth = 0;
                if let Some(next) = NonNull::new(block.parent.cast_mut()) {
                    count_up(&(*next.cast::<Block>().as_ptr()).count);
                    block.head.depth = next.as_ref().depth + 1;
                }
            }
            (*old).parting.store(0, Release);
            owns.then(|| ManuallyDrop::into_inner(parent))
        }
    }

    /// Counts up every node that is borrowed, so that the block, which is ours alone, needs no parent. Returns that.
    fn own_all(&mut self) -> Option<Self> {
        // SAFETY: ours alone.
        let block = unsafe { &mut *self.block() };
        let parent = NonNull::new(block.parent.cast_mut())?;
        // SAFETY: all its slots, which nobody changes meanwhile.
        let slots = unsafe { slice::from_raw_parts(slots(self.at()), block.head.len as usize) };
        let mut borrowed = Slots::NONE;
        for ((nodes, borrowed), owned) in slots.chunks(64).zip(&mut borrowed.words).zip(&mut block.owned.words) {
            let all = nodes.iter().rev().fold(0, |bits, node| bits << 1 | u64::from(node.is_some()));
            *borrowed = all & !mem::replace(owned, all);
            block.owned.len += borrowed.count_ones();
        }
        // SAFETY: nodes that a parent owns, and so keeps alive.
        borrowed.each(|id| slots[id as usize].iter().for_each(|node| count_up(unsafe { &node.as_ref().count })));
        block.parent = ptr::null();
        block.head.depth = 0;
        Some(Self(parent))
    }

    /// Takes in parents that nobody but their child holds: what they own changes hands uncounted. For a block that is ours alone; no
    /// destructor runs, for what was replaced since has none.
    ///
    /// Only parents that own no more than their child: so a node changes hands seven times at most (as in a binary counter, a digit for
    /// each doubling up to [`FLAT`]), and the chains that are left have no more blocks than that, for as long as nobody holds on to them.
    #[inline(never)]
    fn take_in(&mut self) {
        while self.is_unique() {
            // SAFETY: ours alone; and so is the parent, if it has one reference.
            unsafe {
                let block = self.block();
                let Some(parent) = NonNull::new((*block).parent.cast_mut()).map(Self) else { return };
                let parent = ManuallyDrop::new(parent);
                let old = parent.block();
                if !parent.is_unique() || (*old).owned.len > (*block).owned.len {
                    return;
                }
                (*old).owned.each(|id| {
                    let mine = slots(self.at()).add(id as usize).read();
                    let its = slots(parent.at()).add(id as usize).read();
                    if mine == its && !(*block).owned.has(id) {
                        (*block).owned.put(id, true);
                    } else {
                        drop(its.map(Value));
                    }
                });
                (*block).parent = (*old).parent;
                (*block).head.depth = (*old).head.depth;
                drop(mem::replace(&mut (*old).far, Far::new()));
                free(old);
            }
        }
    }
}

/// Gives a block's memory back, or keeps it for the next one. Nothing in there is dropped.
///
/// # Safety
/// Nobody uses the block any more.
unsafe fn free(block: *mut Block) {
    if let Some(block) = NonNull::new(THREAD.with(|thread| thread.keep_spare(block))) {
        let block = block.as_ptr();
        // SAFETY: allocated with that layout; its number of slots never changes.
        unsafe { dealloc(block.cast(), layout((*block).head.len)) }
    }
}

impl Clone for Snapshot {
    #[inline]
    fn clone(&self) -> Self {
        if !self.is_empty_block() {
            // SAFETY: a live block.
            count_up(unsafe { &(*self.block()).count });
        }
        Self(self.at())
    }
}

impl Drop for Snapshot {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a live block; if that was the last reference, nobody uses it any more.
        if !self.is_empty_block() && count_down(unsafe { &(*self.block()).count }) {
            bury(self.block());
        }
    }
}

/// Drops what a block owns, and the parents that it was the last to hold.
///
/// What is dropped may hold contexts itself, of values that hold contexts. From some depth on those get in line, so that no chain is too
/// deep for the stack; above it a destructor finds dropped what it dropped.
#[cold]
fn bury(block: *mut Block) {
    THREAD.with(|thread| {
        // SAFETY: nobody but us uses the block.
        unsafe { (*block).next = thread.doomed.replace(block) };
        if thread.burials.get() < MOST_BURIALS {
            thread.burials.set(thread.burials.get() + 1);
            thread.bury_all();
        }
    });
}

// ---- The thread's current context ----

impl Snapshot {
    /// Makes this the thread's context until the result is dropped. What is set meanwhile is here afterwards.
    ///
    /// Each reference to a block is in one place at any time: what the thread had is in `Entered`, what was ours is the thread's. So it
    /// doesn't matter in which order stacks that are switched by hand leave this: they may end up with one another's contexts, but none
    /// with one that is gone.
    #[inline]
    pub(crate) fn enter(&mut self) -> Entered<'_> {
        // SAFETY: it stays here.
        let before = unsafe { Thread::here() }.head.replace(self.0);
        Entered { snapshot: self, before }
    }
}

/// While it lives the thread is in another context than before.
pub(crate) struct Entered<'a> {
    snapshot: &'a mut Snapshot,
    before: NonNull<Head>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it stays here.
        self.snapshot.0 = unsafe { Thread::here() }.head.replace(self.before);
    }
}

/// Has no destructor, so it can be reached until the thread's very end.
struct Thread {
    /// A `Snapshot`'s, without a destructor.
    head: Cell<NonNull<Head>>,
    names: ContextIds,
    /// The latest one.
    glances: Cell<*const Glance>,
    doomed: Cell<*mut Block>,
    /// How many blocks are being dropped, each by a destructor of the one before.
    burials: Cell<u32>,
    /// Memory of the block that was freed last: where a context is copied again and again, each copy frees the one before the last.
    spare: Cell<*mut Block>,
    /// Memory of the node that was freed last, and its layout.
    spare_node: Cell<(*mut u8, Layout)>,
    /// Whether there is a [`Keeper`], who will free it.
    has_keeper: Cell<bool>,
}

per_thread! {
    static THREAD: Thread = const {
        Thread {
            head: Cell::new(EMPTY),
            names: ContextIds::new(),
            glances: Cell::new(ptr::null()),
            doomed: Cell::new(ptr::null_mut()),
            burials: Cell::new(0),
            spare: Cell::new(ptr::null_mut()),
            spare_node: Cell::new((ptr::null_mut(), Layout::new::<()>())),
            has_keeper: Cell::new(false),
        }
    };
    /// Drops the thread's values when it ends.
    static KEEPER: Keeper = const { Keeper };
}

struct Keeper;

impl Drop for Keeper {
    fn drop(&mut self) {
        // A destructor may set variables again. POSIX, too, goes round four times and leaves it at that.
        for _ in 0..4 {
            drop(THREAD.with(|thread| Snapshot(thread.head.replace(EMPTY))));
        }
        let (block, (node, layout)) = THREAD.with(|thread| {
            thread.has_keeper.set(false);
            (thread.spare.replace(ptr::null_mut()), thread.spare_node.replace((ptr::null_mut(), Layout::new::<()>())))
        });
        if !block.is_null() {
            // SAFETY: memory that nobody uses; it is not kept again.
            unsafe { free(block) };
        }
        if let Some(node) = NonNull::new(node) {
            // SAFETY: as above.
            unsafe { free_node(node, layout) };
        }
    }
}

impl Thread {
    /// This thread's. A closure in its `with` would do as well, if the compiler didn't rather call than inline it.
    ///
    /// # Safety
    /// The reference may not leave the thread.
    #[inline]
    unsafe fn here<'a>() -> &'a Self {
        let here: *const Self = THREAD.with(ptr::from_ref);
        // SAFETY: it has no destructor, so it lives as long as the thread does.
        unsafe { &*here }
    }

    /// Memory for a block of so many slots.
    #[inline]
    fn take_spare(&self, len: u32) -> Option<NonNull<Block>> {
        let spare = NonNull::new(self.spare.get())?;
        // SAFETY: a block's memory, whose head is as it was.
        if unsafe { (*spare.as_ptr()).head.len } != len {
            return None;
        }
        self.spare.set(ptr::null_mut());
        Some(spare)
    }

    /// Keeps a block's memory in the place of another's, which is returned; null if there is none.
    #[inline]
    fn keep_spare(&self, block: *mut Block) -> *mut Block {
        if self.keeps_spares() { self.spare.replace(block) } else { block }
    }

    /// Memory for a node of that layout.
    #[inline]
    fn take_spare_node(&self, layout: Layout) -> Option<NonNull<u8>> {
        let (spare, its) = self.spare_node.get();
        let spare = NonNull::new(spare).filter(|_| its == layout)?;
        self.spare_node.set((ptr::null_mut(), its));
        Some(spare)
    }

    /// Keeps a node's memory in the place of another's, which is returned; null if there is none.
    #[inline]
    fn keep_spare_node(&self, place: *mut u8, layout: Layout) -> (*mut u8, Layout) {
        // A large one is not worth being kept.
        let keeps = self.keeps_spares() && layout.size() <= 256;
        if keeps { self.spare_node.replace((place, layout)) } else { (place, layout) }
    }

    /// Checkers of memory, which look at builds with debug assertions, are to see what is used too late.
    #[inline]
    fn keeps_spares(&self) -> bool {
        self.has_keeper.get() && !cfg!(debug_assertions)
    }

    /// The thread's snapshot, to be used while no code of others can run; it stays the thread's.
    #[inline]
    fn snapshot(&self) -> ManuallyDrop<Snapshot> {
        ManuallyDrop::new(Snapshot(self.head.get()))
    }

    #[inline(never)]
    fn replace(&self, id: u32, new: Option<Value>, is_selective: bool) -> Replaced {
        // The threads of models destroy all their variables, also those without a destructor, in whatever order.
        let is_late = cfg!(not(any(loom, shuttle)))
            && !self.has_keeper.get()
            && KEEPER.try_with(|_| self.has_keeper.set(true)).is_err();
        if !self.glances.get().is_null() {
            self.keep_glanced_at();
        }
        let mut snapshot = self.snapshot();
        let replaced = snapshot.replace(id, new, is_selective);
        if !snapshot.is_named() && snapshot.is_unique() {
            snapshot.set_name(self.names.next());
        }
        if is_late && snapshot.iter().next().is_none() {
            // Nobody comes to drop it any more.
            self.head.set(EMPTY);
            drop(ManuallyDrop::into_inner(snapshot));
            return replaced;
        }
        self.head.set(snapshot.0);
        replaced
    }

    /// Gives a reference of its own to each glance at the block that is about to change.
    #[cold]
    fn keep_glanced_at(&self) {
        let mut next = self.glances.get();
        // SAFETY: glances are in the row while they live, and its links lead to live ones.
        while let Some(glance) = unsafe { next.as_ref() } {
            if glance.head == self.snapshot().at() && !glance.owns.replace(true) {
                mem::forget(Snapshot::clone(&self.snapshot()));
            }
            next = glance.before;
        }
    }

    fn bury_all(&self) {
        /// Goes on with the others when a destructor panics.
        struct Rest<'a>(&'a Thread);

        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                self.0.bury_all();
            }
        }

        while let Some(block) = NonNull::new(self.doomed.get()) {
            let block = block.as_ptr();
            let rest = Rest(self);
            // SAFETY: blocks get in line when nobody uses them any more, and leave it once. What a block owns is taken out first.
            unsafe {
                self.doomed.set((*block).next);
                Taken { block, owned: (*block).owned }.drop_owned();
            }
            mem::forget(rest);
        }
        self.burials.set(self.burials.get() - 1);
    }
}

/// A block of which nothing but what it owns is used any more.
struct Taken {
    block: *mut Block,
    /// What is still to be dropped.
    owned: Slots,
}

impl Taken {
    /// # Safety
    /// Nobody else uses the block.
    unsafe fn drop_owned(&mut self) {
        while let Some(id) = self.owned.pop() {
            // SAFETY: as the caller says: what the block owns is ours. Each node is taken once.
            unsafe { drop(slots(NonNull::new_unchecked(self.block).cast()).add(id as usize).read().map(Value)) };
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // SAFETY: as above. If a destructor panicked, there are nodes left.
        unsafe {
            self.drop_owned();
            let parent = NonNull::new((*self.block).parent.cast_mut()).map(Snapshot);
            let far = mem::replace(&mut (*self.block).far, Far::new());
            free(self.block);
            drop(parent);
            drop(far);
        }
    }
}

/// A look into the thread's block that is too short to be worth counting: while a `Clone` runs. On the stack, in a row.
struct Glance {
    head: NonNull<Head>,
    /// Whether it has a reference to the block of its own.
    owns: Cell<bool>,
    before: *const Self,
}

impl Drop for Glance {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it stays here.
        unsafe { Thread::here() }.glances.set(self.before);
        if self.owns.get() {
            drop(Snapshot(self.head));
        }
    }
}

/// The variable's value in a block, if it has one there.
///
/// # Safety
/// `head` is a live block or [`EMPTY`]. The result may be used as long as the block lives and is not changed.
#[inline]
unsafe fn find<T: Send + Sync + 'static>(head: NonNull<Head>, key: &Key<T>) -> Option<NonNull<T>> {
    let id = key.id();
    // SAFETY: the number of slots comes first; then as `Snapshot::slot` and `Value::get`.
    unsafe {
        let node = if id < (*head.as_ptr()).len {
            (*slots(head).add(id as usize))?
        } else if (*head.as_ptr()).has_far {
            find_far(head, id)?
        } else {
            return None;
        };
        ((*node.as_ptr()).generation == key.generation())
            .then(|| NonNull::new_unchecked(&raw mut (*node.cast::<Node<T>>().as_ptr()).value))
    }
}

/// # Safety
/// As [`find`]; not the empty block.
#[cold]
#[inline(never)]
unsafe fn find_far(head: NonNull<Head>, id: u32) -> Option<NonNull<Header>> {
    // SAFETY: a live block.
    Some(unsafe { &(*head.cast::<Block>().as_ptr()).far }.get(id)?.0)
}

/// Shows the variable's value in the current context, which is kept as it is meanwhile.
#[inline]
pub(crate) fn read<T: Send + Sync + 'static, R>(key: &Key<T>, access: impl FnOnce(Option<&T>) -> R) -> R {
    // SAFETY: it stays here.
    let snapshot = unsafe { Thread::here() }.snapshot();
    // SAFETY: the thread's block lives; then `kept` sees to it that it does, and is not changed, until `access` has ended.
    let Some(value) = (unsafe { find(snapshot.at(), key) }) else { return access(None) };
    let _kept = Snapshot::clone(&snapshot);
    // SAFETY: as above.
    access(Some(unsafe { value.as_ref() }))
}

/// The same without the locked instructions that it takes to keep the context, for a `T` whose `Clone` is all that `access` calls.
///
/// Whatever that does with variables is seen to. What it must not do is to leave the thread to another stack from which the context is
/// left, as no `Clone` does.
#[inline]
pub(crate) fn glance<T: Send + Sync + 'static, R>(key: &Key<T>, access: impl FnOnce(Option<&T>) -> R) -> R {
    // SAFETY: it stays here.
    let thread = unsafe { Thread::here() };
    let head = untagged(thread.head.get());
    // SAFETY: the thread's block lives, and `glance` sees to it that it does until `access` has ended.
    let Some(value) = (unsafe { find(head, key) }) else { return access(None) };
    let glance = Glance { head, owns: Cell::new(false), before: thread.glances.get() };
    thread.glances.set(&raw const glance);
    // SAFETY: as above.
    access(Some(unsafe { value.as_ref() }))
}

/// Puts a value in the place of another in the current context. Returns what was there, and which context it is.
#[inline]
pub(crate) fn set(id: u32, new: Option<Value>, is_selective: bool) -> (Replaced, u64) {
    // SAFETY: it stays here.
    let thread = unsafe { Thread::here() };
    let mut snapshot = thread.snapshot();
    if thread.glances.get().is_null()
        && snapshot.is_named()
        && snapshot.is_selective() >= is_selective
        && let Some(slot) = snapshot.own_slot(id)
        && let Some(new) = new
    {
        // Nobody shares the block or looks into it, and there is a value already, which is its own: the variable's, or that of one
        // that had its number before.
        let old = slot.replace(ManuallyDrop::new(new).0);
        return (Replaced::new(Some(Value(old)), None), snapshot.name());
    }
    (thread.replace(id, new, is_selective), thread.snapshot().name())
}

/// The current context's name, or 0 if nothing was ever set in it. It keeps it for good.
#[inline]
pub(crate) fn current_name() -> u64 {
    THREAD.with(|thread| thread.snapshot().name())
}

/// All that is set now.
#[inline]
pub(crate) fn current() -> Snapshot {
    // SAFETY: it stays here.
    let mut snapshot = unsafe { Thread::here() }.snapshot();
    if snapshot.head().depth > 0 {
        snapshot.take_in();
    }
    Snapshot::clone(&snapshot)
}

// ---- Futures ----

/// A future (or a stream, or a closure) with a context of its own, in which it is polled and in which it is dropped.
///
/// Made by [`ContextExt`](crate::ContextExt). Costs one word, and two exchanges of one word with the thread for each poll.
#[must_use = "does nothing unless it is polled"]
pub struct InContext<F> {
    snapshot: Snapshot,
    inner: ManuallyDrop<F>,
}

impl<F> InContext<F> {
    pub(crate) const fn new(inner: F, snapshot: Snapshot) -> Self {
        Self { snapshot, inner: ManuallyDrop::new(inner) }
    }

    pub(crate) const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) const fn snapshot_mut(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    #[cfg(feature = "stream")]
    pub(crate) fn inner(&self) -> &F {
        &self.inner
    }

    /// Calls a closure in its context, and drops it there.
    pub(crate) fn call<R>(self) -> R
    where
        F: FnOnce() -> R,
    {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again, nor dropped.
        let (mut snapshot, work) =
            unsafe { (ptr::read(&raw const this.snapshot), ManuallyDrop::take(&mut this.inner)) };
        let _entered = snapshot.enter();
        work()
    }

    /// The context, to be entered, and what is in it.
    #[inline]
    pub(crate) fn project(self: Pin<&mut Self>) -> (&mut Snapshot, Pin<&mut F>) {
        // SAFETY: `inner` is pinned whenever we are, for it is never moved out, and dropped where it lies; `snapshot` is not.
        unsafe {
            let this = self.get_unchecked_mut();
            (&mut this.snapshot, Pin::new_unchecked(&mut *this.inner))
        }
    }
}

impl<F> Drop for InContext<F> {
    fn drop(&mut self) {
        if mem::needs_drop::<F>() {
            let _entered = self.snapshot.enter();
            // SAFETY: here and nowhere else.
            unsafe { ManuallyDrop::drop(&mut self.inner) };
        }
    }
}

#[cfg(all(test, loom))]
mod models;
