//! The values of variables beyond the first [`FLAT`](crate::raw::FLAT): a tree that shares what two versions have in common.
//!
//! Each node of the tree has 16 places, each of which stands for four bits of the variable's number. To change a version that is
//! shared copies the nodes on the way down and nothing else.

use std::sync::Arc;

use crate::raw::Value;

const BITS: u32 = 4;
const WIDTH: usize = 1 << BITS;

/// Values by number.
#[derive(Clone, Default)]
pub(crate) struct Far {
    top: Option<Arc<Place>>,
    /// Levels of branches above the leaves.
    height: u32,
}

#[derive(Clone)]
enum Place {
    Leaf([Option<Value>; WIDTH]),
    Branch([Option<Arc<Self>>; WIDTH]),
}

/// Which of its places at that level.
const fn place(id: u32, level: u32) -> usize {
    (id >> (BITS * level)) as usize % WIDTH
}

impl Far {
    pub(crate) const fn new() -> Self {
        Self { top: None, height: 0 }
    }

    /// Whether the tree is high enough for that number.
    const fn reaches(&self, id: u32) -> bool {
        match id.checked_shr(BITS * (self.height + 1)) {
            Some(beyond) => beyond == 0,
            None => true,
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Value> {
        let mut here = self.top.as_ref().filter(|_| self.reaches(id))?;
        let mut level = self.height;
        loop {
            match &**here {
                Place::Leaf(values) => return values[place(id, 0)].as_ref(),
                Place::Branch(below) => here = below[place(id, level)].as_ref()?,
            }
            level -= 1;
        }
    }

    /// Puts a value in the place of another, or of none, and returns that.
    pub(crate) fn replace(&mut self, id: u32, new: Option<Value>) -> Option<Value> {
        while !self.reaches(id) {
            if let Some(top) = self.top.take() {
                let mut below = [const { None }; WIDTH];
                below[0] = Some(top);
                self.top = Some(Arc::new(Place::Branch(below)));
            }
            self.height += 1;
        }
        let mut level = self.height;
        let mut here = &mut self.top;
        loop {
            let made = here.get_or_insert_with(|| {
                Arc::new(if level == 0 {
                    Place::Leaf([const { None }; WIDTH])
                } else {
                    Place::Branch([const { None }; WIDTH])
                })
            });
            match Arc::make_mut(made) {
                Place::Leaf(values) => return std::mem::replace(&mut values[place(id, 0)], new),
                Place::Branch(below) => here = &mut below[place(id, level)],
            }
            level -= 1;
        }
    }

    /// All values with their numbers, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Value)> {
        // What is still to be looked at, the next one last.
        let mut open: Vec<(u32, &Place)> = self.top.iter().map(|top| (0, &**top)).collect();
        let mut leaf: Option<(u32, &[Option<Value>; WIDTH])> = None;
        let mut next = 0;
        std::iter::from_fn(move || {
            loop {
                if let Some((first, values)) = leaf {
                    while next < WIDTH {
                        let at = next;
                        next += 1;
                        if let Some(value) = &values[at] {
                            return Some((first + at as u32, value));
                        }
                    }
                }
                let (first, here) = open.pop()?;
                match here {
                    Place::Leaf(values) => (leaf, next) = (Some((first * WIDTH as u32, values)), 0),
                    Place::Branch(below) => {
                        let number = |at: usize| first * WIDTH as u32 + at as u32;
                        open.extend((0..WIDTH).rev().filter_map(|at| Some((number(at), &**below[at].as_ref()?))));
                    }
                }
            }
        })
    }
}
