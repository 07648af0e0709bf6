//! A task's allocation: the header, then its future, and in the same place later what the future came to.
#![allow(unsafe_code)]

use std::any::Any;
use std::borrow::Cow;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::header::{Afar, Header, Outcome, Place, Queues, TaskRef, VTable};
use super::packed::{Packed, Slot};
use super::record::{Busy, Record};
use super::runnable::{Runnable, Scheduler};
use super::shared::{self, Scheduled};
use super::state::local as state;
use super::{join, shared_state};
use crate::home::Home;
use crate::hub::Hub;
use crate::primitives::{AtomicU32, Cell, UnsafeCell};
use crate::unhandled;

/// The allocation. The header is its front, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct Core<F: Future, N> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
    /// `()` for a task without a name, which takes no room.
    pub(super) name: N,
}

// Both at its front: a handle reads the outcome there without knowing the future.
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

/// What a task has behind its future: a name, if it was given one.
pub(crate) trait Name: 'static {
    fn named(&self) -> Option<&Named> {
        None
    }
}

impl Name for () {}

/// A name, and beside it room for what tasks without one have none for.
pub(crate) struct Named {
    pub(super) name: Cow<'static, str>,
    pub(super) busy: Busy,
}

impl Named {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), busy: Busy::default() }
    }
}

impl Name for Named {
    fn named(&self) -> Option<&Named> {
        Some(self)
    }
}

/// Makes a task of a [`LocalExecutor`](crate::LocalExecutor): queued, with a reference for the executor and one for the handle.
///
/// # Safety
/// On the home's owner's thread, and the home's executor drops the future before anything ends that it borrows.
#[inline]
pub(crate) unsafe fn make<F: Future, N: Name>(
    home: &'static Home,
    spawned: &'static Location<'static>,
    future: F,
    name: N,
) -> TaskRef {
    let vtable = const { &Core::<F, N>::table(join::AFAR, Queues { schedule: |_, _| (), remove: |_| () }) };
    Core::make(vtable, Place { home }, [state::QUEUED + 2 * state::ONE, 0], spawned, future, name)
}

/// Makes a task of an [`Executor`](crate::Executor), with a reference for the executor and one for the handle, and the right to poll it.
///
/// # Safety
/// Future and output are `Send`, and the hub's executor drops the future before anything ends that it borrows.
#[inline]
pub(crate) unsafe fn make_shared<F: Future, N: Name>(
    hub: &'static Hub,
    spawned: &'static Location<'static>,
    future: F,
    name: N,
) -> (TaskRef, Scheduled) {
    let vtable = const { &Core::<F, N>::table(shared::AFAR, shared::OF_HUB) };
    let task = Core::make(vtable, Place { hub }, SHARED, spawned, future, name);
    // SAFETY: the word says that it is scheduled, and nobody else knows of it.
    (task, unsafe { Scheduled::new(task) })
}

/// Makes a task that goes to `schedule` when it is woken, with a reference until it is done and one for the handle, and the right to poll it.
///
/// # Safety
/// Future and output are `Send`, and live for ever.
pub(super) unsafe fn make_scheduled<F: Future, S: Fn(Runnable) + Send + Sync + 'static>(
    schedule: S,
    spawned: &'static Location<'static>,
    future: F,
) -> (TaskRef, Scheduled) {
    type Of<F, S> = Core<F, Scheduler<S>>;
    let vtable = const { &Of::<F, S>::table(shared::AFAR, Queues { schedule: Of::<F, S>::schedule, remove: |_| () }) };
    let task = Core::make(vtable, Place { owner: nobody() }, SHARED, spawned, future, Scheduler(schedule));
    // SAFETY: as above.
    (task, unsafe { Scheduled::new(task) })
}

/// A new task without owner: to be polled, with two references.
const SHARED: [u32; 2] = [0, shared_state::SCHEDULED + 2 * shared_state::ONE];

/// The token of the thread that owns what is nobody's.
#[cfg(not(loom))]
fn nobody() -> &'static AtomicU32 {
    static NOBODY: AtomicU32 = AtomicU32::new(0);
    &NOBODY
}

#[cfg(loom)]
fn nobody() -> &'static AtomicU32 {
    Box::leak(Box::new(AtomicU32::new(0)))
}

impl<F: Future, S: Fn(Runnable) + Send + Sync + 'static> Core<F, Scheduler<S>> {
    /// Hands the task to its function, which may run it at once, be it on another thread, and so end and free it: a reference
    /// keeps the function as long as it runs.
    fn schedule(task: Scheduled, _: bool) {
        let kept = task.keep();
        // SAFETY: a header with this table stands in front of such a core, which is kept; this part is never written to.
        let scheduler = unsafe { &(*kept.task().cast::<Self>().as_ptr()).name };
        (scheduler.0)(Runnable::new(task));
    }
}

impl<F: Future, N: Name> Core<F, N> {
    const fn table(afar: Afar, queues: Queues) -> VTable {
        VTable {
            afar,
            queues,
            poll: Self::poll,
            drop_future: Self::drop_future,
            #[cfg(not(loom))]
            outcome: std::mem::offset_of!(Self, stage),
            #[cfg(loom)]
            outcome: Self::outcome,
            drop_output: Self::drop_output,
            free: Self::free,
            named: Self::named,
        }
    }

    /// The allocation, with its two words of state.
    #[inline]
    fn make(
        vtable: &'static VTable,
        place: Place,
        [local, shared]: [u32; 2],
        spawned: &'static Location<'static>,
        future: F,
        name: N,
    ) -> TaskRef {
        let core = Box::new(Self {
            header: Header {
                vtable,
                place,
                next: Cell::new(None),
                before: Cell::new(None),
                after: Cell::new(None),
                record: Record::new(spawned),
                local: Cell::new(local),
                shared: AtomicU32::new(shared),
                awaiter: Slot::new(Packed::NOBODY),
                #[cfg(loom)]
                is_freed: Cell::new(false),
            },
            stage: UnsafeCell::new(Stage { future: ManuallyDrop::new(future) }),
            name,
        });
        #[cfg(all(test, loom))]
        super::loom_tests::made();
        // SAFETY: the whole allocation's pointer; it is freed by `Self::free`, when no reference is left.
        unsafe { TaskRef::new(NonNull::from(Box::leak(core)).cast()) }
    }

    /// What lies behind the header, be it future or outcome.
    ///
    /// # Safety
    /// The task has this type's table, and nobody else uses its stage as long as the result is used.
    unsafe fn stage<'a>(task: TaskRef) -> &'a mut Stage<F> {
        // SAFETY: a header with this table stands in front of such a core; the caller has the stage to itself.
        unsafe { &mut *(*task.cast::<Self>().as_ptr()).stage.with_mut(|stage| stage) }
    }

    unsafe fn poll(task: TaskRef, context: &mut Context<'_>) -> bool {
        // SAFETY: a header with this table stands in front of such a core, and the name is never written to.
        let _busy = unsafe { &(*task.cast::<Self>().as_ptr()).name }.named().and_then(|named| named.busy.begin());
        // SAFETY: as the table asks: there is a future, and who polls it has the stage. It is never moved.
        let future = unsafe { Pin::new_unchecked(&mut *Self::stage(task).future) };
        let polled = match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        // SAFETY: the future is polled no more, and dropped here and nowhere else.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(&mut Self::stage(task).future) }));
        let outcome = match (polled, dropped) {
            (Ok(output), Ok(())) => Ok(output),
            (polled, dropped) => Err(Box::new(Self::fail(task, polled, dropped))),
        };
        // SAFETY: the place is free, and who polled the future has it until the task is done.
        unsafe { Self::stage(task).outcome = ManuallyDrop::new(outcome) };
        true
    }

    /// A future that panics while it is dropped has failed, too; the first panic tells more. What is left over is not simply dropped: outputs
    /// and what is thrown are strangers' types, and a third panic would find the task half changed.
    #[cold]
    fn fail(
        task: TaskRef,
        polled: Result<F::Output, Box<dyn Any + Send>>,
        dropped: Result<(), Box<dyn Any + Send>>,
    ) -> Box<dyn Any + Send> {
        unhandled::is_caught(task.address());
        let (first, left_over) = match (polled, dropped) {
            (Err(panic), dropped) => (panic, dropped),
            (Ok(output), Err(panic)) => (panic, catch_unwind(AssertUnwindSafe(|| drop(output)))),
            (Ok(_), Ok(())) => unreachable!("it has not failed"),
        };
        if let Err(another) = left_over {
            unhandled::report(task.name(), task.spawned(), another);
        }
        first
    }

    unsafe fn drop_future(task: TaskRef) {
        // SAFETY: as the table asks: there is a future, dropped here for the only time.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(&mut Self::stage(task).future) }));
        if let Err(panic) = dropped {
            // The task was cancelled: its handle brings no outcome that could carry the panic.
            unhandled::report(task.name(), task.spawned(), panic);
        }
    }

    #[cfg(loom)]
    unsafe fn outcome(task: TaskRef) -> *mut () {
        // SAFETY: as the table asks: there is an outcome, and who takes it has the stage.
        unsafe { (&raw mut Self::stage(task).outcome).cast() }
    }

    unsafe fn drop_output(task: TaskRef) {
        // SAFETY: as the table asks: there is an outcome, moved out for the only time.
        let outcome = unsafe { ManuallyDrop::take(&mut Self::stage(task).outcome) };
        let dropped =
            outcome.map_err(|panic| *panic).and_then(|output| catch_unwind(AssertUnwindSafe(|| drop(output))));
        if let Err(panic) = dropped {
            unhandled::report(task.name(), task.spawned(), panic);
        }
    }

    unsafe fn free(task: TaskRef) {
        // SAFETY: made by a box of this type; as the table asks, nobody refers to it any more. What was in the stage is gone, and a
        // union drops nothing by itself.
        let core = unsafe { Box::from_raw(task.cast::<Self>().as_ptr()) };
        #[cfg(all(test, loom))]
        super::loom_tests::freed(core, |core| {
            core.stage.with_mut(|_| ());
            &mut core.header
        });
        #[cfg(not(all(test, loom)))]
        drop(core);
    }

    unsafe fn named(task: TaskRef) -> Option<NonNull<Named>> {
        // SAFETY: a header with this table stands in front of such a core, and the name is never written to.
        let name = unsafe { &(*task.cast::<Self>().as_ptr()).name };
        name.named().map(NonNull::from)
    }
}
