//! The functions that ours stand before, and memory for those who ask before they are known.
//!
//! `dlsym` finds them. It may allocate itself, and the loader asks for memory before anything of ours has run: what is asked for while they
//! are being looked up comes from a small arena, and is never given back.

use core::ffi::{CStr, c_void};
use core::mem::transmute_copy;
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize};

use crate::{heap, python, sample, system};

/// A function's address, once it is known; null where the C library has none of that name.
pub(crate) struct Function {
    name: &'static CStr,
    pub(crate) address: AtomicPtr<c_void>,
}

impl Function {
    const fn named(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(ptr::null_mut()) }
    }

    /// As a function of the type that is asked for.
    ///
    /// # Safety
    /// `F` is an `extern "C"` function pointer of the function's type.
    #[inline]
    pub(crate) unsafe fn get<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let address = self.address.load(Relaxed);
        if address.is_null() {
            return self.look_up();
        }
        // SAFETY: `dlsym` gave the address of the function of that name, and the caller vouches for its type.
        Some(unsafe { transmute_copy(&address) })
    }

    /// The same, if it is known already.
    ///
    /// # Safety
    /// As [`get`](Self::get).
    #[inline]
    pub(crate) unsafe fn known<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let address = self.address.load(Relaxed);
        // SAFETY: as in `get`.
        (!address.is_null()).then(|| unsafe { transmute_copy(&address) })
    }

    #[cold]
    #[inline(never)]
    fn look_up<F: Copy>(&self) -> Option<F> {
        if !all_known() {
            return None;
        }
        let address = self.address.load(Relaxed);
        // SAFETY: as in `get`, which is the only one to call this.
        (!address.is_null()).then(|| unsafe { transmute_copy(&address) })
    }
}

macro_rules! functions {
    ($($name:ident: $symbol:literal,)*) => {
        $(pub(crate) static $name: Function = Function::named($symbol);)*
        const ALL: &[&Function] = &[$(&$name),*];
    };
}

functions! {
    MALLOC: c"malloc",
    CALLOC: c"calloc",
    REALLOC: c"realloc",
    REALLOCARRAY: c"reallocarray",
    POSIX_MEMALIGN: c"posix_memalign",
    ALIGNED_ALLOC: c"aligned_alloc",
    MEMALIGN: c"memalign",
    VALLOC: c"valloc",
    PVALLOC: c"pvalloc",
    FREE: c"free",
    BRK: c"brk",
    SBRK: c"sbrk",
    DLCLOSE: c"dlclose",
}

const UNKNOWN: u32 = 0;
const LOOKING: u32 = 1;
const KNOWN: u32 = 2;
static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);

/// The address that a name stands for first, in the program or any library; null if in none.
pub(crate) fn first_of(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends in a zero.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// Looks for them before the program begins, unless somebody has asked already: then no thread can find another at it.
extern "C" fn before_main() {
    all_known();
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Whether addresses can be had. Not while they are being looked up: then `dlsym` itself asks.
pub(crate) fn all_known() -> bool {
    if STATE.load(Relaxed) == UNKNOWN {
        look();
    }
    STATE.load(Acquire) == KNOWN
}

/// Looks for the functions. Without signals: what a handler asked for meanwhile could be neither noted nor counted, since nothing is there yet.
#[cold]
fn look() {
    let mask = system::block_signals();
    if STATE.compare_exchange(UNKNOWN, LOOKING, Acquire, Acquire).is_ok() {
        for function in ALL {
            // SAFETY: the name ends in a zero.
            let address = unsafe { libc::dlsym(libc::RTLD_NEXT, function.name.as_ptr()) };
            function.address.store(address, Relaxed);
        }
        find_strangers();
        let version = first_of(c"gnu_get_libc_version");
        NESTS.store(version.is_null(), Relaxed);
        heap::look(version, MALLOC.address.load(Relaxed), SBRK.address.load(Relaxed));
        python::look();
        STATE.store(KNOWN, Release);
    }
    system::set_signals(mask);
}

/// Whether functions of the C library may call others of those that ours stand before, as musl's `calloc` does `malloc`. glibc's don't.
static NESTS: AtomicBool = AtomicBool::new(false);

#[inline]
pub(crate) fn nests() -> bool {
    NESTS.load(Relaxed)
}

/// Whether the program has an allocator of its own, which comes before ours: see [`is_a_strangers`].
static IS_A_STRANGERS: AtomicBool = AtomicBool::new(false);

/// Whether `realloc` and `free` are the program's own. Then those functions of ours that it has not (`reallocarray`, `free_sized`) are called with its
/// blocks, and have nothing to note: they pass them on to it.
#[inline]
pub(crate) fn is_a_strangers() -> bool {
    IS_A_STRANGERS.load(Relaxed)
}

fn find_strangers() {
    #[cfg(not(test))]
    for (function, ours) in
        [(&REALLOC, crate::entry::realloc as *const c_void), (&FREE, crate::entry::free as *const c_void)]
    {
        let first = first_of(function.name);
        if !first.is_null() && !ptr::eq(first, ours) {
            function.address.store(first, Relaxed);
            IS_A_STRANGERS.store(true, Relaxed);
        }
    }
}

/// Bytes of the arena. glibc's `dlsym` asks for less than a hundred when a name is missing, and for nothing else.
const ARENA: usize = 64 << 10;

#[repr(align(64))]
struct Arena(core::cell::UnsafeCell<[u8; ARENA]>);
// SAFETY: parts of it are handed out, each once, by an atomic counter.
unsafe impl Sync for Arena {}

static BYTES: Arena = Arena(core::cell::UnsafeCell::new([0; ARENA]));
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Zeroed memory for whoever asks while `malloc` is not known; null when there is none left.
pub(crate) fn early(size: usize, align: usize) -> *mut c_void {
    // The size stands before the block, for `early_size`.
    let align = align.max(16);
    let Some(needed) = size.checked_add(align + 16).map(|needed| needed & !15).filter(|&needed| needed <= ARENA) else {
        return ptr::null_mut();
    };
    let from = TAKEN.fetch_add(needed, Relaxed);
    if from + needed > ARENA {
        return ptr::null_mut();
    }
    let base = BYTES.0.get().cast::<u8>();
    let block = (base.addr() + from + 16).next_multiple_of(align);
    // SAFETY: `from..from + needed` is this call's alone, holds `size` bytes from `block` on, and sixteen before.
    unsafe {
        let block = base.add(block - base.addr());
        block.sub(16).cast::<usize>().write(size);
        sample::never_pass_by(block.cast());
        block.cast()
    }
}

/// Whether a block is the arena's.
#[inline]
pub(crate) fn is_early(block: *const c_void) -> bool {
    block.addr().wrapping_sub(BYTES.0.get().addr()) < ARENA
}

/// How much was asked for.
///
/// # Safety
/// `block` came from [`early`].
pub(crate) unsafe fn early_size(block: *const c_void) -> usize {
    // SAFETY: `early` wrote it there.
    unsafe { block.byte_sub(16).cast::<usize>().read() }
}

/// A lock that spins a little and then lets others run. Held for a few dozen instructions.
#[derive(Debug)]
pub(crate) struct Lock(AtomicU32);

impl Lock {
    #[inline]
    pub(crate) fn take(&self) {
        while self.0.swap(1, Acquire) != 0 {
            let mut spins = 0;
            while self.0.load(Relaxed) != 0 {
                spins += 1;
                if spins < 64 { core::hint::spin_loop() } else { system::let_others_run() }
            }
        }
    }

    #[inline]
    pub(crate) fn release(&self) {
        self.0.store(0, Release);
    }
}

/// Something that one thread at a time uses. All zeros is one that holds what zeros are.
#[repr(C)]
pub(crate) struct Guarded<T> {
    lock: Lock,
    value: core::cell::UnsafeCell<T>,
}

impl<T> Guarded<T> {
    /// Waits for its turn, and works with it. `work` must not come back here.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.lock.take();
        // SAFETY: under the lock, which nobody takes while they have it.
        let result = work(unsafe { &mut *self.value.get() });
        self.lock.release();
        result
    }
}
