// Fold a newcomer into a trained model, in the page: the same equations as Recommender.fold_in. No library.
(async () => {
  const place = document.getElementById('play');
  if (!place) return;
  let data;
  try { data = await (await fetch(place.dataset.source)).json(); }
  catch { return; }  // the picture stays
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const k = data.k, n = data.titles.length;
  const raw = new Int8Array(bytes(data.factors).buffer), scale = new Float32Array(bytes(data.factor_scale).buffer), gram = new Float32Array(bytes(data.gram).buffer);
  const row = i => Float64Array.from({length: k}, (_, f) => raw[i * k + f] * scale[f]);
  const make = (tag, props = {}, ...children) => { const e = Object.assign(document.createElement(tag), props); e.append(...children); return e; };

  // (alpha QᵀQ + Σ q qᵀ + (reg n + damping) I) p = Σ y q, by Cholesky
  function fold(ratings) {
    const A = Array.from({length: k}, (_, a) => Float64Array.from({length: k}, (_, b) => data.alpha * gram[a * k + b])), right = new Float64Array(k);
    for (const [i, stars] of ratings) {
      const q = row(i), y = (stars - 1) / 4;
      for (let a = 0; a < k; a++) { right[a] += y * q[a]; for (let b = 0; b < k; b++) A[a][b] += q[a] * q[b]; }
    }
    for (let a = 0; a < k; a++) A[a][a] += data.reg * ratings.size + data.damping;
    for (let a = 0; a < k; a++) for (let b = 0; b <= a; b++) {
      let s = A[a][b];
      for (let c = 0; c < b; c++) s -= A[a][c] * A[b][c];
      A[a][b] = a === b ? Math.sqrt(s) : s / A[b][b];
    }
    for (let a = 0; a < k; a++) { for (let c = 0; c < a; c++) right[a] -= A[a][c] * right[c]; right[a] /= A[a][a]; }
    for (let a = k - 1; a >= 0; a--) { for (let c = a + 1; c < k; c++) right[a] -= A[c][a] * right[c]; right[a] /= A[a][a]; }
    return right;
  }
  function recommend(ratings, m = 10) {
    const p = fold(ratings), found = [];
    for (let i = 0; i < n; i++) if (!ratings.has(i)) found.push([i, row(i).reduce((s, q, f) => s + q * p[f], 0)]);
    return found.sort((a, b) => b[1] - a[1]).slice(0, m);
  }

  // what stands on the page
  const mine = new Map(), names = new Map(data.titles.map((t, i) => [t.toLowerCase(), i]));
  const input = make('input', {type: 'text', id: 'film', autocomplete: 'off'}), said = make('p', {role: 'status'});
  input.setAttribute('list', 'films');
  const options = make('datalist', {id: 'films'}, ...data.titles.map(t => make('option', {value: t})));
  const list = make('ul', {className: 'mine'}), top = make('ol', {id: 'recommended'});
  const form = make('form', {className: 'line'}, make('label', {htmlFor: 'film', textContent: 'A film'}), input, options, make('button', {textContent: 'Add'}));
  const svgNS = 'http://www.w3.org/2000/svg', W = 800, H = 520;
  const svg = document.createElementNS(svgNS, 'svg'), tip = make('div', {className: 'tip', hidden: true});
  svg.setAttribute('viewBox', `0 0 ${W} ${H}`);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'Map of the films; the list tells the same in words');
  const span = v => [Math.min(...v), Math.max(...v)];
  const [x0, x1] = span(data.x), [y0, y1] = span(data.y);
  const at = i => [20 + (data.x[i] - x0) / (x1 - x0) * (W - 40), H - 20 - (data.y[i] - y0) / (y1 - y0) * (H - 40)];
  const dots = data.titles.map((title, i) => {
    const dot = document.createElementNS(svgNS, 'circle'), [x, y] = at(i);
    for (const [key, value] of Object.entries({cx: x, cy: y, r: 6, fill: data.colours[data.genre[i]]})) dot.setAttribute(key, value);
    const show = () => { tip.textContent = title; tip.hidden = false; tip.style.left = `clamp(5rem, ${x / W * 100}%, calc(100% - 5rem))`; tip.style.top = `${y / H * 100}%`; };
    dot.addEventListener('pointerenter', show);
    dot.addEventListener('pointerleave', () => { tip.hidden = true; });
    dot.addEventListener('click', () => { show(); add(i); });
    svg.append(dot);
    return dot;
  });
  const texts = [];

  function add(i, stars = 5) { if (!mine.has(i)) mine.set(i, stars); draw(); }
  function draw() {
    const found = mine.size ? recommend(mine) : [];
    list.replaceChildren(...[...mine].map(([i, stars]) => {
      const choice = make('select', {ariaLabel: `stars for ${data.titles[i]}`}, ...[5, 4, 3, 2, 1].map(s => make('option', {value: s, textContent: '★'.repeat(s), selected: s === stars})));
      choice.addEventListener('change', () => { mine.set(i, +choice.value); draw(); });
      const off = make('button', {type: 'button', textContent: '×', ariaLabel: `remove ${data.titles[i]}`});
      off.addEventListener('click', () => { mine.delete(i); draw(); });
      return make('li', {}, make('span', {className: 'title', textContent: data.titles[i]}), choice, off);
    }));
    top.replaceChildren(...found.map(([i, score]) => make('li', {textContent: `${data.titles[i]} `}, make('small', {textContent: score.toFixed(2)}))));
    texts.splice(0).forEach(t => t.remove());
    dots.forEach((dot, i) => {
      dot.setAttribute('class', mine.has(i) ? 'mine' : found.some(f => f[0] === i) ? 'top' : '');
      dot.setAttribute('fill-opacity', !mine.size || dot.getAttribute('class') ? 1 : .35);
    });
    for (const i of mine.keys()) {
      const text = document.createElementNS(svgNS, 'text'), [x, y] = at(i), late = x > W * .7;
      text.setAttribute('x', x + (late ? -10 : 10)); text.setAttribute('y', y + 4); text.setAttribute('text-anchor', late ? 'end' : 'start');
      text.textContent = data.titles[i];
      svg.append(text); texts.push(text);
    }
  }
  form.addEventListener('submit', event => {
    event.preventDefault();
    const wanted = input.value.trim().toLowerCase(), i = names.get(wanted) ?? (wanted ? data.titles.findIndex(t => t.toLowerCase().includes(wanted)) : -1);
    if (i < 0) { said.textContent = wanted ? `No film here is called “${input.value.trim()}”. Those that are here come up as you type.` : 'Type a title, or touch a point of the map.'; return; }
    said.textContent = `${data.titles[i]} added.`; input.value = ''; add(i);
  });
  const legend = make('ul', {className: 'legend'}, ...data.genres.map((g, j) => { const dot = make('i'); dot.style.background = data.colours[j]; return make('li', {}, dot, g); }));
  place.replaceChildren(form, said, make('div', {className: 'columns'}, make('section', {}, make('h3', {textContent: 'You said'}), list), make('section', {}, make('h3', {textContent: 'Then perhaps'}), top)), make('div', {className: 'map'}, svg, tip), legend);
  for (const title of data.example) add(names.get(title.toLowerCase()));
  window.play = {fold, recommend, names};  // for those who look, and for the tests
})();
