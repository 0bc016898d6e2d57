// Tables with numbers are sorted by the buttons in their headers: upwards, downwards,
// and as they were. Without a script they stay as they are.
(() => {
  const FEWEST_ROWS = 5;
  const EMPTY = ['', '–', 'NaN', 'nan', 'None', 'NaT', '<NA>'];
  const UNITS = { '': 1, '%': 1, K: 1e3, M: 1e6 };
  const NEXT = { ascending: 'descending', descending: 'none', none: 'ascending' };
  const NUMBER = /^([-+]?\d*\.?\d+(?:e[-+]?\d+)?)\s*([%KM]?)$/i;

  const textOf = (cell) => (cell ? cell.textContent.trim() : '');
  const isEmpty = (text) => EMPTY.includes(text);

  function toNumber(text) {
    const found = text.replaceAll(',', '').replace('−', '-').match(NUMBER);
    return found ? found[1] * UNITS[found[2].toUpperCase()] : NaN;
  }

  function isNumeric(texts) {
    const given = texts.filter((text) => !isEmpty(text));
    return given.length > 0 && given.every((text) => !Number.isNaN(toNumber(text)));
  }

  // A label that stands for several rows becomes a label of each.
  function repeatLabels(body) {
    const rows = [...body.rows];
    rows.forEach((row, first) => {
      [...row.cells].forEach((cell, column) => {
        const n = cell.rowSpan;
        cell.removeAttribute('rowspan');
        for (const below of rows.slice(first + 1, first + n)) {
          below.insertBefore(cell.cloneNode(true), below.cells[column] || null);
        }
      });
    });
  }

  function compare(a, b, byNumber) {
    return byNumber ? toNumber(a) - toNumber(b) : a.localeCompare(b, 'en');
  }

  function sort(table, column, header, original) {
    const order = NEXT[header.getAttribute('aria-sort') || 'none'];
    for (const th of table.tHead.querySelectorAll('[aria-sort]')) {
      th.removeAttribute('aria-sort');
    }
    let rows = original;
    if (order !== 'none') {
      header.setAttribute('aria-sort', order);
      const direction = order === 'ascending' ? 1 : -1;
      const texts = new Map(rows.map((row) => [row, textOf(row.cells[column])]));
      const byNumber = isNumeric([...texts.values()]);
      rows = rows.toSorted((rowA, rowB) => {
        const [a, b] = [texts.get(rowA), texts.get(rowB)];
        // what is missing comes last, upwards and downwards
        if (isEmpty(a) || isEmpty(b)) return isEmpty(a) - isEmpty(b);
        return direction * compare(a, b, byNumber);
      });
    }
    table.tBodies[0].append(...rows);
  }

  // Of the rows of a header, the last one that names the column.
  function headerOf(table, column) {
    const named = [...table.tHead.rows].filter((row) => textOf(row.cells[column]));
    return named.length ? named.at(-1).cells[column] : null;
  }

  function canBeSorted(table) {
    const body = table.tBodies[0];
    if (!table.tHead || !body || body.rows.length < FEWEST_ROWS) return false;
    return !table.querySelector('[colspan]');
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    repeatLabels(body);
    const original = [...body.rows];
    const columns = [...Array(original[0].cells.length).keys()];
    const texts = (column) => original.map((row) => textOf(row.cells[column]));
    if (!columns.some((column) => isNumeric(texts(column)))) return;
    for (const column of columns) {
      const header = headerOf(table, column);
      if (!header) continue;
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...header.childNodes);
      button.addEventListener('click', () => sort(table, column, header, original));
      header.append(button);
    }
    table.classList.add('sortable');
  }

  [...document.querySelectorAll('article table')].filter(canBeSorted).forEach(makeSortable);
})();
