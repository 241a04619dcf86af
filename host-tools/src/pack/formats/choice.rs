//! The best choice between two formats for each tensor: a 0-1 knapsack, solved by dynamic programming.

/// The wider format of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Loss that it saves, at least 0.
    pub gain: f64,
    /// Bytes that it takes more.
    pub bytes: u64,
}

/// Units that the room of all items is counted in, at most.
const UNITS: u64 = 1 << 16;
/// Tensors start at multiples of this.
const ALIGN: u64 = 16;

/// Which items to take so that they fit into `room` bytes and the sum of gains is the largest. More room never gains less.
pub fn choose(items: &[Item], room: u64) -> Vec<bool> {
    let all: u64 = items.iter().map(|item| item.bytes.next_multiple_of(ALIGN)).sum();
    if all <= room {
        return vec![true; items.len()];
    }
    // The unit depends on the items alone, so a choice for less room is also one for more.
    let unit = ALIGN * (all / ALIGN).div_ceil(UNITS).max(1);
    let capacity = (room / unit) as usize;
    let mut best = vec![0.0_f64; capacity + 1];
    let mut taken = vec![vec![false; capacity + 1]; items.len()];
    for (item, taken) in items.iter().zip(&mut taken) {
        let size = item.bytes.div_ceil(unit) as usize;
        for units in (size..=capacity).rev() {
            let gain = best[units - size] + item.gain;
            if gain > best[units] {
                (best[units], taken[units]) = (gain, true);
            }
        }
    }
    let mut units = capacity;
    let mut chosen = vec![false; items.len()];
    for (index, item) in items.iter().enumerate().rev() {
        if taken[index][units] {
            chosen[index] = true;
            units -= item.bytes.div_ceil(unit) as usize;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gain(items: &[Item], chosen: &[bool]) -> f64 {
        items.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(item, _)| item.gain).sum()
    }

    fn bytes(items: &[Item], chosen: &[bool]) -> u64 {
        items.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(item, _)| item.bytes).sum()
    }

    #[test]
    fn the_choice_is_the_best_of_all() {
        for seed in 0..20 {
            let number = |index: usize| (index * index * 31 + index * 7 + seed * 13) % 17;
            let items: Vec<Item> =
                (0..9).map(|index| Item { gain: number(index) as f64, bytes: 16 * (1 + number(index + 9) as u64) }).collect();
            let mut last = 0.0;
            for room in (0..40).map(|units| 16 * units) {
                let chosen = choose(&items, room);
                assert!(bytes(&items, &chosen) <= room);
                let subsets =
                    (0..1 << items.len()).map(|set: u32| (0..items.len()).map(|index| set >> index & 1 == 1).collect::<Vec<bool>>());
                let best = subsets.filter(|set| bytes(&items, set) <= room).map(|set| gain(&items, &set)).fold(0.0, f64::max);
                assert!((gain(&items, &chosen) - best).abs() < 1e-9);
                assert!(best >= last);
                last = best;
            }
        }
    }

    #[test]
    fn large_items_are_counted_in_larger_units() {
        let items: Vec<Item> =
            (0..300).map(|index| Item { gain: f64::from(index % 7), bytes: 1_000_000 + u64::from(index as u32) }).collect();
        let chosen = choose(&items, 100_500_000);
        assert!(bytes(&items, &chosen) <= 100_500_000);
        assert!(chosen.iter().filter(|chosen| **chosen).count() >= 99);
        assert_eq!(choose(&items, u64::MAX), vec![true; 300]);
        assert_eq!(choose(&[], 5), Vec::<bool>::new());
    }
}
