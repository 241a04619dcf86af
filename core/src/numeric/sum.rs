//! Ordered sums: eight lanes, combined in one order on every target.

/// Eight running sums. Element k goes to lane k mod 8, in ascending order.
///
/// Lanes start at +0, so adding a product with padding (+0) never changes a bit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lanes(pub [f32; 8]);

impl Lanes {
    /// Adds `term(a, b)` of every pair, in ascending order.
    #[inline(always)]
    pub fn add_pairs(&mut self, a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) {
        let (a8, a_tail) = a.as_chunks::<8>();
        let (b8, b_tail) = b.as_chunks::<8>();
        for (a, b) in a8.iter().zip(b8) {
            for ((lane, &a), &b) in self.0.iter_mut().zip(a).zip(b) {
                *lane += term(a, b);
            }
        }
        for ((lane, &a), &b) in self.0.iter_mut().zip(a_tail).zip(b_tail) {
            *lane += term(a, b);
        }
    }

    /// The total: ((0+4)+(2+6))+((1+5)+(3+7)).
    #[inline(always)]
    pub fn total(self) -> f32 {
        let [l0, l1, l2, l3, l4, l5, l6, l7] = self.0;
        ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7))
    }
}

/// Sum of products of two rows of equal length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = Lanes::default();
    lanes.add_pairs(a, b, |a, b| a * b);
    lanes.total()
}
