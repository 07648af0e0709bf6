//! Random numbers that are the same on every platform, and times drawn from distributions.
//!
//! The generator is xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), seeded by
//! `SplitMix64`. Each purpose (arrivals, service times, costs, a policy's choices) has a stream of its own, so that one more draw for
//! one does not change the others. Logarithms come from the `libm` crate: the system's differ in their last bits.

use crate::scenario::{Cost, CostShape, Distribution};
use crate::time::TimeScale;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Arrivals = 1,
    Service,
    Classes,
    Costs,
    Policy,
    CoreOrder,
    Io,
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream for a purpose.
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        let mut mixed = mix(seed) ^ mix((stream as u64) << 56);
        let state = [(); 4].map(|()| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(mixed)
        });
        Self { state }
    }

    /// 64 random bits.
    #[inline]
    pub(crate) fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform on (0, 1]: never 0, so that its logarithm is finite.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform on 0 .. n (n > 0), by the high half of a product; its bias is below n / 2^64.
    #[inline]
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Exponential with mean 1.
    #[inline]
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(self.unit())
    }

    /// Normal with mean 0 and variance 1 (Box and Muller 1958, one of the pair).
    fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(2.0 * self.exponential());
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
}

/// The finalizer of `SplitMix64`: every bit of the input changes half the bits of the output.
#[inline]
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A distribution of times, ready to draw from.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    shape: Distribution,
    scale: TimeScale,
}

impl Sampler {
    pub(crate) fn new(shape: &Distribution, scale: TimeScale) -> Self {
        Self { shape: shape.clone(), scale }
    }

    /// One time, in sub-ticks.
    #[inline]
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        let units = match &self.shape {
            Distribution::Exp { mean } => mean * random.exponential(),
            Distribution::Det { value } => *value,
            Distribution::Uniform { lo, hi } => lo + (hi - lo) * random.unit(),
            Distribution::Erlang { k, mean } => {
                (0..*k).map(|_| random.exponential()).sum::<f64>() * mean / f64::from(*k)
            }
            Distribution::Hyperexp { parts } => {
                let part = choose(parts, |part| part.p, random.unit());
                part.mean * random.exponential()
            }
            Distribution::Mixture { parts } => choose(parts, |part| part.p, random.unit()).value,
            Distribution::Pareto { shape, scale, max } => {
                let value = scale * libm::pow(random.unit(), -1.0 / shape);
                max.map_or(value, |max| value.min(max))
            }
        };
        self.scale.ticks(units)
    }
}

/// The part that a number from (0, 1] falls into; the last one takes what rounding leaves over.
fn choose<T>(parts: &[T], chance: impl Fn(&T) -> f64, mut at: f64) -> &T {
    for part in &parts[..parts.len() - 1] {
        at -= chance(part);
        if at <= 0.0 {
            return part;
        }
    }
    &parts[parts.len() - 1]
}

/// A cost, ready to be charged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Charge {
    Fixed(u64),
    /// exp(`mu` + `sigma` x normal), in sub-ticks.
    Lognormal {
        mu: f64,
        sigma: f64,
        largest: f64,
    },
}

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

impl Charge {
    pub(crate) fn new(cost: &Cost, scale: TimeScale) -> Self {
        match cost {
            Cost::Fixed(units) => Self::Fixed(scale.ticks(*units)),
            Cost::Random(CostShape::Lognormal { p50, p99 }) => {
                let (p50, p99) = (p50 * scale.per_unit() as f64, p99 * scale.per_unit() as f64);
                let sigma = libm::log(p99 / p50) / NORMAL_P99;
                // Six and a half sigmas: once in ten thousand million draws. What is beyond is cut, so that no time overflows.
                Self::Lognormal { mu: libm::log(p50), sigma, largest: p50 * libm::exp(6.5 * sigma) }
            }
        }
    }

    /// The cost, if it is the same on every occasion.
    pub(crate) fn fixed(self) -> Option<u64> {
        if let Self::Fixed(ticks) = self { Some(ticks) } else { None }
    }

    /// The cost of one occasion, in sub-ticks.
    #[inline]
    pub(crate) fn draw(self, random: &mut Random) -> u64 {
        match self {
            Self::Fixed(ticks) => ticks,
            Self::Lognormal { mu, sigma, largest } => {
                libm::rint(libm::exp(mu + sigma * random.normal()).min(largest)).min(crate::time::LATEST as f64) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{MixturePart, PhasePart, TimeUnit};

    #[test]
    fn the_stream_is_the_same_for_ever() {
        // The reference implementation's first numbers from the state 1, 2, 3, 4.
        let mut random = Random { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..4).map(|_| random.bits()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
        // And ours from a seed, so that results stay comparable.
        let mut random = Random::new(42, Stream::Service);
        let first: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(first, [15_569_761_502_748_092_058, 5_832_173_447_873_666_366, 4_494_889_827_329_332_454]);
    }

    #[test]
    fn means_are_as_given() {
        let scale = TimeScale::new(TimeUnit::ServiceMean, [], true);
        let shapes = [
            Distribution::Exp { mean: 2.0 },
            Distribution::Uniform { lo: 1.0, hi: 5.0 },
            Distribution::Erlang { k: 4, mean: 3.0 },
            Distribution::Hyperexp { parts: vec![PhasePart { p: 0.9, mean: 0.5 }, PhasePart { p: 0.1, mean: 5.5 }] },
            Distribution::Mixture {
                parts: vec![MixturePart { p: 0.9, value: 0.5 }, MixturePart { p: 0.1, value: 5.5 }],
            },
            Distribution::Pareto { shape: 4.0, scale: 1.0, max: None },
        ];
        for shape in shapes {
            let (sampler, mut random) = (Sampler::new(&shape, scale), Random::new(1, Stream::Service));
            let n = 200_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..n {
                let time = scale.units(sampler.draw(&mut random));
                sum += time;
                squares += time * time;
            }
            let mean = sum / f64::from(n);
            let error = libm::sqrt((squares / f64::from(n) - mean * mean) / f64::from(n));
            assert!((mean - shape.mean()).abs() < 5.0 * error, "{shape:?}: {mean}");
        }
    }

    #[test]
    fn a_lognormal_cost_has_its_quantiles() {
        let scale = TimeScale::new(TimeUnit::Ns, [], true);
        let charge = Charge::new(&Cost::Random(CostShape::Lognormal { p50: 1000.0, p99: 3000.0 }), scale);
        let mut random = Random::new(1, Stream::Costs);
        let n = 100_000;
        let mut costs: Vec<f64> = (0..n).map(|_| scale.units(charge.draw(&mut random))).collect();
        costs.sort_by(f64::total_cmp);
        assert!((costs[n / 2] / 1000.0 - 1.0).abs() < 0.02);
        assert!((costs[n * 99 / 100] / 3000.0 - 1.0).abs() < 0.04);
    }
}
