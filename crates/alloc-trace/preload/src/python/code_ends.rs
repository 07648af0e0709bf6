//! How many code objects have ended: as long as none has, those at the same addresses are the same.
//!
//! The function that ends them stands in their type, where ours is put before it. It counts, and goes on to Python's. To end a code object is rare,
//! and costs far more than that.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64};

use crate::real::first_of;

/// Where `PyCode_Type` has the function: after the head of an object with a size, a name, and two numbers (`Include/cpython/object.h`).
const DEALLOC: usize = 48;

static COUNT: AtomicU64 = AtomicU64::new(0);
/// Python's own.
static OWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
/// Where it stood.
static PLACE: AtomicPtr<AtomicPtr<c_void>> = AtomicPtr::new(ptr::null_mut());

/// Puts ours in its place, before Python runs.
pub(super) fn look() {
    let code = first_of(c"PyCode_Type");
    if code.is_null() {
        return;
    }
    let place: *mut AtomicPtr<c_void> = code.wrapping_byte_add(DEALLOC).cast();
    // SAFETY: a pointer in a type object, which can be written, and which nobody uses yet.
    let function = unsafe { &*place };
    let own = function.load(Relaxed);
    if !own.is_null() {
        OWN.store(own, Release);
        function.store(ends_one as *mut c_void, Release);
        PLACE.store(place, Release);
    }
}

/// How many have ended; `None` where nobody counts.
#[inline(always)]
pub(crate) fn ends() -> Option<u64> {
    // SAFETY: as in `look`; a type of Python's own is there for good.
    let place = unsafe { PLACE.load(Acquire).as_ref() }?;
    ptr::eq(place.load(Relaxed), ends_one as *const c_void).then(|| COUNT.load(Acquire))
}

unsafe extern "C" fn ends_one(code: *mut c_void) {
    COUNT.fetch_add(1, Release);
    // SAFETY: Python's own function, of this type, called as Python calls it.
    unsafe {
        let own: unsafe extern "C" fn(*mut c_void) = core::mem::transmute(OWN.load(Acquire));
        own(code);
    }
}
