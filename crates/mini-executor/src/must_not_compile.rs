//! What the compiler has to refuse: each of these would be unsound. Compiled by the documentation's tests alone.
//!
//! A task may not borrow what ends before its executor:
//! ```compile_fail,E0597
//! let executor = mini_executor::LocalExecutor::new();
//! {
//!     let short = String::from("gone");
//!     executor.spawn(async { println!("{short}") }).detach();
//! }
//! ```
//!
//! Nor may it by way of an executor that was taken for one of a shorter lifetime:
//! ```compile_fail
//! use mini_executor::LocalExecutor;
//! fn shorten<'short>(executor: &'short LocalExecutor<'static>, _: &'short str) -> &'short LocalExecutor<'short> {
//!     executor
//! }
//! ```
//!
//! Nor for one of a longer:
//! ```compile_fail
//! use mini_executor::LocalExecutor;
//! fn lengthen<'short>(executor: LocalExecutor<'short>) -> LocalExecutor<'static> {
//!     executor
//! }
//! ```
//!
//! Nor may its result outlive what it borrows:
//! ```compile_fail,E0597
//! use mini_executor::{LocalExecutor, block_on};
//! let task = {
//!     let short = String::from("gone");
//!     let executor = LocalExecutor::new();
//!     let task = executor.spawn(async { short.as_str() });
//!     while executor.try_tick() {}
//!     task
//! };
//! println!("{}", block_on(task));
//! ```
//!
//! A task that borrows its own executor would find it half dropped:
//! ```compile_fail,E0597
//! let executor = mini_executor::LocalExecutor::new();
//! executor.spawn(async { executor.try_tick(); }).detach();
//! ```
//!
//! An executor stays on its thread, with all who run it:
//! ```compile_fail,E0277
//! fn is_send<T: Send>(_: T) {}
//! is_send(mini_executor::LocalExecutor::new());
//! ```
//! ```compile_fail,E0277
//! fn is_sync<T: Sync>(_: T) {}
//! is_sync(mini_executor::LocalExecutor::new());
//! ```
//! ```compile_fail,E0277
//! fn is_send<T: Send>(_: T) {}
//! let executor = mini_executor::LocalExecutor::new();
//! is_send(executor.run(async {}));
//! ```
//! ```compile_fail,E0277
//! fn is_send<T: Send>(_: T) {}
//! let executor = mini_executor::LocalExecutor::new();
//! is_send(executor.tick());
//! ```
//!
//! A handle goes to another thread only if the result may:
//! ```compile_fail,E0277
//! fn is_send<T: Send>(_: T) {}
//! let executor = mini_executor::LocalExecutor::new();
//! is_send(executor.spawn(async { std::rc::Rc::new(1) }));
//! ```
//! ```compile_fail,E0277
//! fn is_send<T: Send>(_: T) {}
//! let executor = mini_executor::LocalExecutor::new();
//! is_send(executor.spawn(async { std::rc::Rc::new(1) }).fallible());
//! ```
//! ```compile_fail,E0277
//! fn is_send<T: Send>(_: T) {}
//! let executor = mini_executor::LocalExecutor::new();
//! is_send(executor.spawn(async { std::rc::Rc::new(1) }).cancel());
//! ```
//!
//! What is refused for the right reason: all this is allowed.
//! ```
//! fn is_send_and_sync<T: Send + Sync>(_: &T) {}
//! fn is_sync<T: Sync>(_: &T) {}
//! fn lives_as_long<'a>(task: mini_executor::Task<&'static str>) -> mini_executor::Task<&'a str> {
//!     task
//! }
//! let outer = String::from("stays");
//! let not_send = std::rc::Rc::new(1);
//! let executor = mini_executor::LocalExecutor::new();
//! let task = executor.spawn(async { outer.len() + *not_send });
//! is_send_and_sync(&task);
//! is_sync(&executor.spawn(async { std::rc::Rc::new(1) }));
//! drop(lives_as_long(executor.spawn(async { "static" })));
//! assert_eq!(mini_executor::block_on(executor.run(task)), 6);
//! ```
