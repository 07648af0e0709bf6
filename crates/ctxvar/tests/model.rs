//! Random work with contexts beside a model of them: maps that are cloned whole. Whatever is read has to be what the model says, and
//! after every step exactly those values are alive which somebody can still see.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ctxvar::{Context, ContextVar, Inherit, Token, in_context};
use proptest::prelude::*;

/// A value that is counted while it lives.
struct Tracked {
    number: u64,
    alive: Arc<AtomicUsize>,
}

impl Tracked {
    fn new(number: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self { number, alive: Arc::clone(alive) }
    }

    fn fork(&self) -> Self {
        Self::new(forked(self.number), &self.alive)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, SeqCst);
    }
}

fn forked(number: u64) -> u64 {
    number.wrapping_mul(31).wrapping_add(7)
}

enum Variable {
    /// Of a type without a destructor.
    Plain(ContextVar<u64>),
    Tracked(ContextVar<Tracked>),
}

const KINDS: usize = 5;

impl Variable {
    fn new(index: usize) -> Self {
        match index % KINDS {
            0 => Self::Plain(ContextVar::new("plain")),
            1 => Self::Plain(ContextVar::new("plain, forked").inherit(Inherit::Fork(|number| forked(*number)))),
            2 => Self::Tracked(ContextVar::new("tracked")),
            3 => Self::Tracked(ContextVar::new("tracked, never").inherit(Inherit::Never)),
            _ => Self::Tracked(ContextVar::new("tracked, forked").inherit(Inherit::Fork(Tracked::fork))),
        }
    }

    fn read(&self) -> Option<u64> {
        match self {
            Self::Plain(variable) => variable.try_get(),
            Self::Tracked(variable) => variable.with(|value| value.map(|value| value.number)),
        }
    }

    fn read_in(&self, context: &Context) -> Option<u64> {
        match self {
            Self::Plain(variable) => context.get(variable).copied(),
            Self::Tracked(variable) => context.get(variable).map(|value| value.number),
        }
    }
}

enum AnyToken<'v> {
    Plain(Token<'v, u64>),
    Tracked(Token<'v, Tracked>),
}

impl AnyToken<'_> {
    fn old(&self) -> Option<u64> {
        match self {
            Self::Plain(token) => token.old().copied(),
            Self::Tracked(token) => token.old().map(|value| value.number),
        }
    }

    /// The token comes back where it is not good.
    fn reset(self) -> Result<(), Self> {
        match self {
            Self::Plain(token) => token.reset().map_err(|error| Self::Plain(error.into_token())),
            Self::Tracked(token) => token.reset().map_err(|error| Self::Tracked(error.into_token())),
        }
    }
}

/// A value, and which one: two of the same number are two.
type Marked = Rc<u64>;
type Map = BTreeMap<usize, Marked>;

/// What a child's map is.
fn inherited(map: &Map) -> Map {
    let heir = |(index, value): (&usize, &Marked)| match index % KINDS {
        1 | 4 => Some((*index, Rc::new(forked(**value)))),
        3 => None,
        _ => Some((*index, Rc::clone(value))),
    };
    map.iter().filter_map(heir).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize),
    /// Does the steps while the variable has another value.
    Scope(usize, Vec<Step>),
    /// Does the steps while the variable's value is looked at.
    With(usize, Vec<Step>),
    Reset(usize),
    DropToken(usize),
    Current,
    Capture,
    CopyContext(usize),
    ContextWith(usize, usize),
    /// Does the steps in a context.
    Run(usize, Vec<Step>),
    DropContext(usize),
    /// Reads everything in another thread, as a child, and sets something there.
    Thread(usize),
    Panic,
}

struct World<'v> {
    variables: &'v [Variable],
    alive: Arc<AtomicUsize>,
    next: u64,
    /// The contexts that were entered, the current one last: what they hold and which they are.
    entered: Vec<(Map, u64)>,
    contexts: Vec<(Context, Map, u64)>,
    tokens: Vec<(AnyToken<'v>, usize, Option<Marked>, u64)>,
    /// What `with` shows right now, and what guards will put back.
    shown: Vec<Marked>,
    /// How many `with`s there are. What one may look at stays as a whole, while it looks.
    looking: usize,
}

type Shared<'v> = RefCell<World<'v>>;

impl World<'_> {
    fn map(&mut self) -> &mut Map {
        &mut self.entered.last_mut().expect("one at least").0
    }

    fn id(&self) -> u64 {
        self.entered.last().expect("one at least").1
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn keep(&mut self, context: Context, map: Map) {
        let id = self.fresh();
        if self.contexts.len() < 12 {
            self.contexts.push((context, map, id));
        }
    }

    /// Puts it into the model, and returns what is to be set.
    fn put(&mut self, index: usize) -> (u64, Option<Marked>) {
        let number = self.fresh();
        (number, self.map().insert(index, Rc::new(number)))
    }

    fn check(&self) {
        let (map, _) = self.entered.last().expect("one at least");
        for (index, variable) in self.variables.iter().enumerate() {
            assert_eq!(variable.read(), map.get(&index).map(|value| **value), "variable {index}");
        }
        for (context, map, _) in &self.contexts {
            for (index, variable) in self.variables.iter().enumerate() {
                assert_eq!(
                    variable.read_in(context),
                    map.get(&index).map(|value| **value),
                    "variable {index} of a context"
                );
            }
            assert_eq!(context.len(), map.len());
        }
        for (token, _, old, _) in &self.tokens {
            assert_eq!(token.old(), old.as_ref().map(|value| **value));
        }
        let maps = self.entered.iter().map(|(map, _)| map).chain(self.contexts.iter().map(|(_, map, _)| map));
        let mut seen: BTreeSet<*const u64> = BTreeSet::new();
        seen.extend(maps.flatten().filter(|(index, _)| *index % KINDS > 1).map(|(_, value)| Rc::as_ptr(value)));
        seen.extend(
            self.tokens.iter().filter(|token| token.1 % KINDS > 1).filter_map(|token| token.2.as_ref().map(Rc::as_ptr)),
        );
        seen.extend(self.shown.iter().map(Rc::as_ptr));
        let (alive, seen) = (self.alive.load(SeqCst), seen.len());
        assert!(alive == seen || (alive > seen && self.looking > 0), "{alive} values live, {seen} can be seen");
    }
}

struct Thrown;

fn work(shared: &Shared<'_>, steps: &[Step]) {
    for step in steps {
        take(shared, step);
        shared.borrow().check();
    }
}

#[allow(clippy::too_many_lines, reason = "a step each")]
fn take(shared: &Shared<'_>, step: &Step) {
    let mut world = shared.borrow_mut();
    let variables = world.variables;
    let alive = Arc::clone(&world.alive);
    match *step {
        Step::Set(index) => {
            let index = index % variables.len();
            let (number, old) = world.put(index);
            let token = match &variables[index] {
                Variable::Plain(variable) => AnyToken::Plain(variable.set(number)),
                Variable::Tracked(variable) => AnyToken::Tracked(variable.set(Tracked::new(number, &alive))),
            };
            let id = world.id();
            if world.tokens.len() < 12 {
                world.tokens.push((token, index, old, id));
            }
        }
        Step::Scope(index, ref steps) => {
            let index = index % variables.len();
            let (number, old) = world.put(index);
            // The guard sees what was there, too.
            world.shown.extend(old.clone().filter(|_| index % KINDS > 1));
            drop(world);
            let run = || work(shared, steps);
            let result = catch_unwind(AssertUnwindSafe(|| match &variables[index] {
                Variable::Plain(variable) => variable.scope(number, run),
                Variable::Tracked(variable) => variable.scope(Tracked::new(number, &alive), run),
            }));
            let mut world = shared.borrow_mut();
            if old.is_some() && index % KINDS > 1 {
                world.shown.pop();
            }
            match old {
                Some(old) => world.map().insert(index, old),
                None => world.map().remove(&index),
            };
            drop(world);
            pass_on(result);
        }
        Step::With(index, ref steps) => {
            let index = index % variables.len();
            let shown = world.map().get(&index).cloned();
            let is_tracked = index % KINDS > 1;
            world.shown.extend(shown.clone().filter(|_| is_tracked));
            world.looking += 1;
            drop(world);
            let result = catch_unwind(AssertUnwindSafe(|| match &variables[index] {
                Variable::Plain(variable) => variable.with(|value| {
                    work(shared, steps);
                    assert_eq!(value.copied(), shown.as_deref().copied());
                }),
                Variable::Tracked(variable) => variable.with(|value| {
                    work(shared, steps);
                    assert_eq!(value.map(|value| value.number), shown.as_deref().copied());
                }),
            }));
            let mut world = shared.borrow_mut();
            world.looking -= 1;
            if is_tracked && shown.is_some() {
                world.shown.pop();
            }
            drop(world);
            pass_on(result);
        }
        Step::Reset(at) => {
            if world.tokens.is_empty() {
                return;
            }
            let at = at % world.tokens.len();
            let (token, index, old, id) = world.tokens.swap_remove(at);
            let is_good = id == world.id();
            match token.reset() {
                Ok(()) => {
                    assert!(is_good, "reset in another context");
                    match old {
                        Some(old) => world.map().insert(index, old),
                        None => world.map().remove(&index),
                    };
                }
                Err(token) => {
                    assert!(!is_good, "not reset in its own context");
                    world.tokens.push((token, index, old, id));
                }
            }
        }
        Step::DropToken(at) => {
            if !world.tokens.is_empty() {
                let at = at % world.tokens.len();
                drop(world.tokens.swap_remove(at));
            }
        }
        Step::Current => {
            let map = world.map().clone();
            let context = Context::current();
            assert!(context.ptr_eq(&Context::current()));
            world.keep(context, map);
        }
        Step::Capture => {
            let map = inherited(world.map());
            world.keep(Context::capture(), map);
        }
        Step::CopyContext(at) => {
            if let Some((context, map, _)) = pick(&world.contexts, at) {
                let (context, map) = (context.clone(), map.clone());
                world.keep(context, map);
            }
        }
        Step::ContextWith(at, index) => {
            let index = index % variables.len();
            let number = world.fresh();
            if let Some((context, map, _)) = pick(&world.contexts, at) {
                let changed = match &variables[index] {
                    Variable::Plain(variable) => context.with(variable, number),
                    Variable::Tracked(variable) => context.with(variable, Tracked::new(number, &alive)),
                };
                let mut map = map.clone();
                map.insert(index, Rc::new(number));
                world.keep(changed, map);
            }
        }
        Step::Run(at, ref steps) => {
            if world.contexts.is_empty() {
                return;
            }
            let at = at % world.contexts.len();
            let (mut context, map, id) = world.contexts.swap_remove(at);
            world.entered.push((map, id));
            drop(world);
            let result = catch_unwind(AssertUnwindSafe(|| context.run(|| work(shared, steps))));
            let mut world = shared.borrow_mut();
            let (map, id) = world.entered.pop().expect("what was pushed");
            world.contexts.push((context, map, id));
            drop(world);
            // A panic is the end of that context's work and of nobody else's.
            if let Err(panic) = result {
                assert!(panic.is::<Thrown>(), "{:?}", panic.downcast_ref::<String>());
            }
        }
        Step::DropContext(at) => {
            if !world.contexts.is_empty() {
                let at = at % world.contexts.len();
                drop(world.contexts.swap_remove(at));
            }
        }
        Step::Thread(index) => {
            let expected: Vec<Option<u64>> = {
                let map = inherited(world.map());
                (0..variables.len()).map(|index| map.get(&index).map(|value| **value)).collect()
            };
            let index = index % variables.len();
            let child = in_context(|| {
                let read: Vec<Option<u64>> = variables.iter().map(Variable::read).collect();
                match &variables[index] {
                    Variable::Plain(variable) => drop(variable.set(1)),
                    Variable::Tracked(variable) => drop(variable.set(Tracked::new(1, &alive))),
                }
                assert_eq!(variables[index].read(), Some(1));
                read
            });
            let read = std::thread::scope(|scope| scope.spawn(child).join());
            assert_eq!(read.unwrap_or_else(|panic| resume_unwind(panic)), expected);
        }
        Step::Panic => {
            drop(world);
            resume_unwind(Box::new(Thrown));
        }
    }
}

fn pick<T>(from: &[T], at: usize) -> Option<&T> {
    (!from.is_empty()).then(|| &from[at % from.len()])
}

fn pass_on(result: std::thread::Result<()>) {
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

fn step() -> impl Strategy<Value = Step> {
    let leaf = prop_oneof![
        6 => any::<usize>().prop_map(Step::Set),
        3 => any::<usize>().prop_map(Step::Reset),
        1 => any::<usize>().prop_map(Step::DropToken),
        4 => Just(Step::Current),
        1 => Just(Step::Capture),
        1 => any::<usize>().prop_map(Step::CopyContext),
        2 => any::<(usize, usize)>().prop_map(|(at, index)| Step::ContextWith(at, index)),
        2 => any::<usize>().prop_map(Step::DropContext),
        1 => any::<usize>().prop_map(Step::Thread),
        1 => Just(Step::Panic),
    ];
    leaf.prop_recursive(4, 120, 30, |inner| {
        let steps = proptest::collection::vec(inner, 1..30);
        prop_oneof![
            3 => (any::<usize>(), steps.clone()).prop_map(|(at, steps)| Step::Run(at, steps)),
            1 => (any::<usize>(), steps.clone()).prop_map(|(at, steps)| Step::Scope(at, steps)),
            1 => (any::<usize>(), steps).prop_map(|(at, steps)| Step::With(at, steps)),
        ]
    })
}

/// Does the steps with that many variables, whose numbers lie above those of others.
fn run(variables: usize, others: usize, steps: &[Step]) {
    // They hold numbers, so that ours are in slots, in the tree behind them, or in both.
    let others: Vec<ContextVar<()>> = (0..others).map(|_| ContextVar::new("other")).collect();
    Context::new().run(|| others.iter().for_each(|other| drop(other.set(()))));
    let variables: Vec<Variable> = (0..variables).map(Variable::new).collect();
    let alive = Arc::new(AtomicUsize::new(0));
    let world = World {
        variables: &variables,
        alive: Arc::clone(&alive),
        next: 0,
        entered: vec![(Map::new(), 0)],
        contexts: Vec::new(),
        tokens: Vec::new(),
        shown: Vec::new(),
        looking: 0,
    };
    let shared = RefCell::new(world);
    let mut context = Context::new();
    context.run(|| {
        let _ = catch_unwind(AssertUnwindSafe(|| work(&shared, steps))).inspect_err(|panic| {
            assert!(panic.is::<Thrown>(), "{:?}", panic.downcast_ref::<String>());
        });
        shared.borrow().check();
    });
    drop(shared);
    drop(context);
    assert_eq!(alive.load(SeqCst), 0, "nobody can see anything any more");
}

proptest! {
    #[test]
    fn contexts_are_what_maps_that_are_cloned_would_be(
        variables in prop_oneof![1..4_usize, 5..20_usize],
        others in prop_oneof![3 => Just(0_usize), 1 => Just(60), 1 => Just(120), 1 => Just(150), 1 => Just(400)],
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        run(variables, others, &steps);
    }
}

#[test]
fn a_hundred_thousand_variables() {
    const MANY: usize = 100_000;
    let alive = Arc::new(AtomicUsize::new(0));
    let variables: Vec<ContextVar<Tracked>> = (0..MANY).map(|_| ContextVar::new("one of many")).collect();
    let mut context = Context::new();
    context.run(|| {
        for (number, variable) in variables.iter().enumerate() {
            variable.set(Tracked::new(number as u64, &alive));
        }
        let before = Context::current();
        for variable in variables.iter().step_by(7) {
            variable.set(Tracked::new(0, &alive));
        }
        for (number, variable) in variables.iter().enumerate() {
            let now = variable.with(|value| value.map(|value| value.number));
            assert_eq!(now, Some(if number % 7 == 0 { 0 } else { number as u64 }));
            assert_eq!(before.get(variable).map(|value| value.number), Some(number as u64));
        }
        assert_eq!((before.len(), Context::current().len()), (MANY, MANY));
        assert_eq!(alive.load(SeqCst), (MANY + MANY.div_ceil(7)));
        drop(before);
        assert_eq!(alive.load(SeqCst), MANY);
    });
    drop(context);
    assert_eq!(alive.load(SeqCst), 0);
}
