// Implicit feedback: fold in a user, score films, and say what speaks for a film. It is
// what Recommender.fold_in and Recommender.explain do.

import { Cholesky, addProducts, dot, floats, wholeNumbers } from './algebra.js';

// Scores that would be shown as 0.00 recommend nothing
const LEAST_SCORE = 0.005;

export class RankingModel {
  constructor(data) {
    const { n_factors: size, alpha, reg, damping } = data;
    Object.assign(this, { size, reg, damping });
    this.defaultAlpha = alpha;
    this.gram = floats(data.gram);
    const { whole, step } = wholeNumbers(data.factors);
    this.nItems = whole.length / size;
    this.factors = Array.from({ length: this.nItems }, (_, item) =>
      Float64Array.from(step, (s, f) => whole[item * size + f] * s),
    );
    this.alpha = alpha;
    this.regTimes = 1;
  }

  // alpha weighs the pairs without a rating; reg and damping are multiplied by `times`
  set(alpha, times) {
    this.alpha = alpha;
    this.regTimes = times;
  }

  // ratings maps items to stars
  equations(ratings) {
    const { size, gram, alpha, factors } = this;
    const matrix = Float64Array.from(gram, (value) => alpha * value);
    for (const item of ratings.keys()) addProducts(matrix, factors[item]);
    const constant = this.regTimes * (this.reg * ratings.size + this.damping);
    for (let a = 0; a < size; a++) matrix[a * size + a] += constant;
    return new Cholesky(matrix, size);
  }

  // (alpha QᵀQ + Σ q qᵀ + (reg n + damping) I) p = Σ y q
  foldIn(ratings, equations = this.equations(ratings)) {
    const target = new Float64Array(this.size);
    for (const [item, stars] of ratings) {
      const preference = (stars - 1) / 4;
      this.factors[item].forEach((q, f) => {
        target[f] += preference * q;
      });
    }
    return equations.solve(target);
  }

  scores(ratings) {
    const userFactors = this.foldIn(ratings);
    return this.factors.map((factors) => dot(factors, userFactors));
  }

  // [[item, score], …], best first
  recommend(ratings, k = 10) {
    const scores = this.scores(ratings);
    return scores
      .map((score, item) => [item, score])
      .filter(([item, score]) => score >= LEAST_SCORE && !ratings.has(item))
      .sort((a, b) => b[1] - a[1])
      .slice(0, k);
  }

  // [[rated item, what it contributes to the score], …], the largest first
  reasons(item, ratings, equations = this.equations(ratings)) {
    const solved = equations.solve(this.factors[item]);
    return [...ratings]
      .map(([rated, stars]) => [
        rated,
        ((stars - 1) / 4) * dot(this.factors[rated], solved),
      ])
      .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  }

  // The films whose ratings would tell most: greedily, the share of people who know it
  // times the information log(1 + qᵀ A⁻¹ q) that a rating adds to those before.
  mostTelling(n, ratings, known, isLeftOut, offered = []) {
    const asked = new Map(ratings);
    for (const item of offered) asked.set(item, 3);
    const chosen = [];
    while (chosen.length < n) {
      const equations = this.equations(asked);
      let best = -1;
      let most = -Infinity;
      for (let item = 0; item < this.nItems; item++) {
        if (asked.has(item) || isLeftOut(item)) continue;
        const gain = Math.log1p(equations.quadratic(this.factors[item]));
        if (known[item] * gain > most) [best, most] = [item, known[item] * gain];
      }
      if (best < 0) break;
      chosen.push(best);
      asked.set(best, 3);
    }
    return chosen;
  }
}
