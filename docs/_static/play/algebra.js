// Small dense systems of equations, and numbers that come as bytes.

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

export const floats = (text) => Float64Array.from(new Float32Array(bytes(text).buffer));

// Whole numbers in a byte each; they are multiplied by a step when they are used
export function wholeNumbers({ bytes: text, step }) {
  return { whole: new Int8Array(bytes(text).buffer), step: floats(step) };
}

// The lower triangle L of a positive definite matrix A = L Lᵀ, row by row
export class Cholesky {
  constructor(matrix, size) {
    this.size = size;
    this.lower = Float64Array.from(matrix);
    const { lower } = this;
    for (let a = 0; a < size; a++) {
      for (let b = 0; b <= a; b++) {
        let rest = lower[a * size + b];
        for (let c = 0; c < b; c++) rest -= lower[a * size + c] * lower[b * size + c];
        const pivot = lower[b * size + b];
        lower[a * size + b] = a === b ? Math.sqrt(rest) : rest / pivot;
      }
    }
  }

  // L⁻¹ x
  halfSolve(x) {
    const { size, lower } = this;
    const y = Float64Array.from(x);
    for (let a = 0; a < size; a++) {
      for (let c = 0; c < a; c++) y[a] -= lower[a * size + c] * y[c];
      y[a] /= lower[a * size + a];
    }
    return y;
  }

  // A⁻¹ x
  solve(x) {
    const { size, lower } = this;
    const y = this.halfSolve(x);
    for (let a = size - 1; a >= 0; a--) {
      for (let c = a + 1; c < size; c++) y[a] -= lower[c * size + a] * y[c];
      y[a] /= lower[a * size + a];
    }
    return y;
  }

  // xᵀ A⁻¹ x
  quadratic(x) {
    return this.halfSolve(x).reduce((sum, value) => sum + value * value, 0);
  }
}

export function dot(a, b) {
  let sum = 0;
  for (let j = 0; j < a.length; j++) sum += a[j] * b[j];
  return sum;
}

// matrix += weight · x xᵀ
export function addProducts(matrix, x, weight = 1) {
  const size = x.length;
  for (let a = 0; a < size; a++) {
    const scaled = weight * x[a];
    for (let b = 0; b < size; b++) matrix[a * size + b] += scaled * x[b];
  }
}
