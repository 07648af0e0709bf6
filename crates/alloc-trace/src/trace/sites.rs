//! Stacks of all threads, each once.

use std::collections::HashMap;

/// A return address. Which code that is depends on the generation: when a library is unloaded, another may come to lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// How many libraries had been unloaded.
    pub generation: u32,
    /// The address.
    pub address: u64,
}

/// Where calls come from: what was called, and the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// Index into [`KINDS`](super::format::KINDS).
    pub kind: u8,
    /// How the stack ended: [`END_OF_CHAIN`](super::format::END_OF_CHAIN) and its like.
    pub end: u8,
    node: u32,
}

/// All sites of a trace, by number; their stacks as a tree that begins at the outermost frames.
#[derive(Debug)]
pub struct Sites {
    list: Vec<Site>,
    numbers: HashMap<Site, u32>,
    /// Parent and address.
    nodes: Vec<(u32, Address)>,
    children: HashMap<(u32, Address), u32>,
}

const ROOT: u32 = 0;

impl Default for Sites {
    /// With the site of number 0: calls whose stack is not known.
    fn default() -> Self {
        let mut sites = Self {
            list: Vec::new(),
            numbers: HashMap::new(),
            nodes: vec![(ROOT, Address { generation: 0, address: 0 })],
            children: HashMap::new(),
        };
        sites.number(0, super::format::UNKNOWN_STACK as u8, 0, &[]);
        sites
    }
}

impl Sites {
    /// The number of a site, whose frames come the outermost first.
    pub(super) fn number(&mut self, kind: u8, end: u8, generation: u32, frames: &[u64]) -> u32 {
        let mut node = ROOT;
        for &address in frames {
            let key = (node, Address { generation, address });
            let next = self.nodes.len() as u32;
            node = *self.children.entry(key).or_insert_with(|| {
                self.nodes.push(key);
                next
            });
        }
        let site = Site { kind, end, node };
        let next = self.list.len() as u32;
        *self.numbers.entry(site).or_insert_with(|| {
            self.list.push(site);
            next
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none, which is never so: calls without a stack are one.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The site of a number.
    pub fn get(&self, number: u32) -> Option<Site> {
        self.list.get(number as usize).copied()
    }

    /// A site's stack, the innermost frame first.
    pub fn stack(&self, site: Site) -> impl Iterator<Item = Address> {
        let mut node = site.node;
        std::iter::from_fn(move || {
            let (parent, address) = *self.nodes.get(node as usize).filter(|_| node != ROOT)?;
            node = parent;
            Some(address)
        })
    }

    /// All sites, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Site> {
        self.list.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sites_have_one_number_and_give_their_stack_back() {
        let mut sites = Sites::default();
        let one = sites.number(1, 0, 0, &[10, 20, 30]);
        assert_eq!(one, sites.number(1, 0, 0, &[10, 20, 30]));
        let others = [(2, 0, &[10, 20, 30][..]), (1, 1, &[10, 20, 30]), (1, 0, &[10, 20])];
        for (kind, generation, frames) in others {
            assert_ne!(one, sites.number(kind, 0, generation, frames));
        }
        let stack: Vec<u64> = sites.stack(sites.get(one).unwrap()).map(|address| address.address).collect();
        assert_eq!(stack, [30, 20, 10]);
        assert_eq!(sites.stack(sites.get(0).unwrap()).count(), 0);
        assert_eq!(sites.get(99), None);
    }
}
