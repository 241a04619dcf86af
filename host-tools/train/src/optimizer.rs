//! AdamW (Loshchilov and Hutter, 2019) on a flat list of weights, and its learning rate schedule.

use crate::config::Training;
use crate::shape::Shape;

/// First and second moments of every weight, and the number of steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdamW {
    pub(crate) steps: usize,
    pub(crate) mean: Vec<f32>,
    pub(crate) square: Vec<f32>,
}

impl AdamW {
    pub(crate) fn new(parameters: usize) -> Self {
        Self { steps: 0, mean: vec![0.0; parameters], square: vec![0.0; parameters] }
    }

    /// Clips the gradient and takes a step.
    pub(crate) fn step(&mut self, weights: &mut [f32], grad: &[f32], shape: &Shape, t: &Training) {
        let rate = learning_rate(self.steps, t);
        self.steps += 1;
        let norm = grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let clip = (t.clip / norm.max(1e-12)).min(1.0) as f32;
        let (beta1, beta2) = (t.beta1 as f32, t.beta2 as f32);
        let steps = self.steps as i32;
        // Bias correction: the moments start at 0.
        let (fill1, fill2) = (1.0 - t.beta1.powi(steps), 1.0 - t.beta2.powi(steps));
        let pace = (rate / fill1) as f32;
        for place in shape.places() {
            let decay = if place.kind.is_norm() { 0.0 } else { t.weight_decay };
            let keep = (1.0 - rate * decay) as f32;
            for at in place.at {
                let g = grad[at] * clip;
                self.mean[at] = beta1 * self.mean[at] + (1.0 - beta1) * g;
                self.square[at] = beta2 * self.square[at] + (1.0 - beta2) * g * g;
                let spread = (self.square[at] / fill2 as f32).sqrt() + 1e-8;
                weights[at] = weights[at] * keep - pace * self.mean[at] / spread;
            }
        }
    }
}

/// Linear warm-up, then cosine decay.
pub(crate) fn learning_rate(step: usize, t: &Training) -> f64 {
    if step < t.warm_up {
        return t.learning_rate * (step + 1) as f64 / t.warm_up as f64;
    }
    let way = (step - t.warm_up) as f64 / t.steps.saturating_sub(t.warm_up).max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * way.min(1.0)).cos());
    t.learning_rate * (t.final_share + (1.0 - t.final_share) * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;

    #[test]
    fn the_rate_climbs_and_then_falls() {
        let t = TrainConfig::preset("tales").unwrap().training;
        let rates: Vec<f64> = (0..=t.steps).map(|step| learning_rate(step, &t)).collect();
        assert!(rates[..t.warm_up].is_sorted() && rates[t.warm_up..].is_sorted_by(|a, b| a >= b));
        assert!((rates[t.warm_up] - t.learning_rate).abs() < 1e-12);
        assert!((rates[t.steps] - t.learning_rate * t.final_share).abs() < 1e-12);
    }

    #[test]
    fn steps_lead_to_the_bottom() {
        let config = TrainConfig::preset("smoke").unwrap();
        let t = Training { weight_decay: 0.0, ..config.training };
        let count = config.model.parameters();
        let mut optimizer = AdamW::new(count);
        let mut weights = vec![0.0; count];
        for _ in 0..t.steps {
            let grad: Vec<f32> = weights.iter().map(|w| w - 0.1).collect(); // of (w - 0.1)^2 / 2
            optimizer.step(&mut weights, &grad, &config.model, &t);
        }
        assert!(weights.iter().all(|w| (w - 0.1).abs() < 0.03), "{}", weights[0]);
    }
}
