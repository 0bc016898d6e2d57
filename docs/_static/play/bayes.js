// A Bayesian model: posterior samples of the films. Given one of them, the distribution
// of a new user's row is normal and known exactly, so that no random number is needed.

import { Cholesky, addProducts, dot, floats, wholeNumbers } from './algebra.js';

const N_STEPS = 24; // of bisection

// The distribution function of the normal distribution, to 1e-7 (Abramowitz and Stegun)
export function normalCdf(z) {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const series =
    t *
    (0.254829592 +
      t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const upper = 0.5 * series * Math.exp(-x * x);
  return z > 0 ? 1 - upper : upper;
}

// A quantile of a mixture of normal distributions with equal shares, by bisection
function mixtureQuantile(means, sds, share) {
  let low = Infinity;
  let high = -Infinity;
  means.forEach((mean, s) => {
    low = Math.min(low, mean - 9 * sds[s]);
    high = Math.max(high, mean + 9 * sds[s]);
  });
  for (let step = 0; step < N_STEPS; step++) {
    const middle = (low + high) / 2;
    let below = 0;
    for (let s = 0; s < means.length; s++)
      below += normalCdf((middle - means[s]) / sds[s]);
    if (below < share * means.length) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

export class BayesModel {
  constructor(data) {
    this.nSamples = data.n_samples;
    this.size = data.n_columns; // the last column is the bias
    this.mu = data.mu;
    this.unit = data.unit;
    this.scale = data.scale;
    this.noiseSd = floats(data.noise_sd);
    this.mean = floats(data.mean);
    this.precision = floats(data.precision);
    const { whole, step } = wholeNumbers(data.items);
    this.nItems = whole.length / this.nSamples / this.size;
    this.items = Float64Array.from(whole, (value, j) => {
      const sample = Math.floor(j / (this.nItems * this.size));
      return value * step[sample * this.size + (j % this.size)];
    });
  }

  // What multiplies a user's row: the film's factors and a 1; and the film's bias
  regressor(sample, item) {
    const first = (sample * this.nItems + item) * this.size;
    const x = this.items.slice(first, first + this.size);
    const bias = x[this.size - 1];
    x[this.size - 1] = 1;
    return { x, bias };
  }

  // The row of a user under one sample: its mean, and its precision in triangular form.
  // ratings maps items to stars.
  foldIn(sample, ratings) {
    const { size, noiseSd, mu, unit } = this;
    const start = sample * size;
    const matrix = this.precision.slice(start * size, (start + size) * size);
    const prior = this.mean.slice(start, start + size);
    const information = Float64Array.from(prior, (_, a) =>
      dot(matrix.subarray(a * size, (a + 1) * size), prior),
    );
    const weight = noiseSd[sample] ** -2;
    for (const [item, stars] of ratings) {
      const { x, bias } = this.regressor(sample, item);
      const target = (stars - mu) / unit - bias;
      addProducts(matrix, x, weight);
      x.forEach((value, a) => {
        information[a] += weight * value * target;
      });
    }
    const precision = new Cholesky(matrix, size);
    return { mean: precision.solve(information), precision };
  }

  // For each item: means and variances of its expected rating, one of each sample
  distributions(ratings, items) {
    const { nSamples, mu, unit } = this;
    const found = items.map((item) => ({
      item,
      means: new Float64Array(nSamples),
      variances: new Float64Array(nSamples),
    }));
    for (let s = 0; s < nSamples; s++) {
      const { mean, precision } = this.foldIn(s, ratings);
      for (const { item, means, variances } of found) {
        const { x, bias } = this.regressor(s, item);
        means[s] = mu + unit * (bias + dot(x, mean));
        variances[s] = unit ** 2 * precision.quadratic(x);
      }
    }
    return found;
  }

  // For each item: the expected rating; between which numbers it lies; and between which
  // a rating lies, with the probability `level`
  predict(ratings, items, level = 0.9) {
    const [low, high] = this.scale;
    const clip = (value) => Math.min(high, Math.max(low, value));
    const ends = [(1 - level) / 2, (1 + level) / 2];
    const noise = this.noiseSd.map((sd) => (this.unit * sd) ** 2);
    return this.distributions(ratings, items).map(({ item, means, variances }) => {
      const between = (sds) =>
        ends.map((end) => clip(mixtureQuantile(means, sds, end)));
      return {
        item,
        mean: clip(means.reduce((sum, mean) => sum + mean, 0) / means.length),
        expected: between(variances.map(Math.sqrt)),
        rating: between(variances.map((v, s) => Math.sqrt(v + noise[s]))),
      };
    });
  }
}
