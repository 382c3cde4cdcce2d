//! Which SKU the next customer wants.

use crate::random::Random;

/// Draws positions of a list by their weights: the sums of the weights, searched by halves.
#[derive(Clone, Debug)]
pub struct Demand {
    cumulated: Vec<f64>,
}

impl Demand {
    /// By Zipf's law: the n-th of `count` is wanted 1 / n^`exponent` as often as the first. `count` is at least 1.
    pub fn zipf(count: usize, exponent: f64) -> Self {
        #[allow(clippy::cast_precision_loss)] // ranks are far below 2^52
        Self::weighted((1..=count.max(1)).map(|rank| (rank as f64).powf(-exponent)))
    }

    /// By weights; they must be positive, and at least one.
    pub fn weighted(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let cumulated = weights
            .into_iter()
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self { cumulated }
    }

    /// The position that the next customer wants.
    pub fn draw(&self, random: &mut Random) -> usize {
        let total = self.cumulated.last().copied().unwrap_or(0.0);
        let point = random.unit() * total;
        self.cumulated.partition_point(|&sum| sum <= point).min(self.cumulated.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_wanted_most_and_everyone_is_wanted() {
        let demand = Demand::zipf(10, 1.0);
        let mut random = Random::seeded(1);
        let mut drawn = [0_u32; 10];
        for _ in 0..10_000 {
            drawn[demand.draw(&mut random)] += 1;
        }
        assert!(drawn.iter().all(|&count| count > 0) && drawn.iter().all(|&count| count <= drawn[0]), "{drawn:?}");
    }
}
