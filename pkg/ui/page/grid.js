// A map as a grid of cells. The grid is one stop of the Tab key; arrow keys move in it.

import { element } from './dom.js';
import { cellClass, describe, firstOf } from './cells.js';

// Rows of addresses begin at multiples of a power of two, rows of ports at round numbers.
const columnsOfAddresses = [64, 32, 16, 8];
const columnsOfPorts = [50, 25, 20, 10];
const narrowestCell = 12;
const widthOfLabels = 104;
const widthForLabels = 560;

export class Grid {
  // select is called with a cell that was chosen, and whether the keyboard did it.
  constructor(label, select) {
    this.select = select;
    this.map = null;
    this.cells = [];
    this.current = 0;
    this.chosen = '';
    this.body = element('div', { role: 'grid', class: 'grid', 'aria-label': label, 'aria-readonly': 'true' });
    this.hint = element('p', { class: 'hint', 'aria-hidden': 'true' });
    this.node = element('div', { class: 'gridbox' }, this.body, this.hint);
    this.body.addEventListener('keydown', (event) => this.pressed(event));
    this.body.addEventListener('click', (event) => this.clicked(event));
    for (const name of ['pointerover', 'focusin']) this.body.addEventListener(name, (event) => this.show(event.target));
    this.body.addEventListener('pointerleave', () => this.show(this.cells[this.current]));
    new ResizeObserver(() => this.resized()).observe(this.node);
  }

  // update shows a map. If it has the same cells as before, only those that differ change.
  update(map) {
    const before = this.map;
    this.map = map;
    const isSame = before && before.cells.length === map.cells.length && before.cellSize === map.cellSize
      && before.cells[0]?.text === map.cells[0]?.text;
    if (!isSame) {
      this.current = 0;
      this.draw();
      return;
    }
    map.cells.forEach((cell, i) => {
      const made = this.cells[i];
      const words = describe(map, cell);
      if (made.getAttribute('aria-label') === words && JSON.stringify(before.cells[i]) === JSON.stringify(cell)) return;
      const isNews = (before.cells[i].allocated ?? 0) !== (cell.allocated ?? 0);
      made.className = cellClass(map, cell) + (isNews ? ' changed' : '');
      made.setAttribute('aria-label', words);
      if (made === document.activeElement) this.show(made);
    });
  }

  resized() {
    if (this.map && this.node.clientWidth > 0 && this.fitting() !== this.columns) this.draw();
  }

  // fitting returns how many columns fit.
  fitting() {
    const room = this.node.clientWidth - (this.node.clientWidth >= widthForLabels ? widthOfLabels : 0);
    const choices = this.map.class === 'Port' ? columnsOfPorts : columnsOfAddresses;
    const fit = choices.filter((columns) => columns * narrowestCell <= room);
    // A map is about twice as wide as high, so that a small one is not a line.
    return fit.findLast((columns) => columns >= 2 * Math.sqrt(this.map.cells.length)) ?? fit[0] ?? choices.at(-1);
  }

  draw() {
    const hadFocus = this.body.contains(document.activeElement);
    this.columns = this.fitting();
    this.offset = this.map.offset % this.columns;
    this.body.dataset.columns = this.columns;
    this.body.dataset.labels = this.node.clientWidth >= widthForLabels;
    this.cells = this.map.cells.map((cell, i) => {
      const made = element('div', {
        role: 'gridcell', tabindex: '-1', class: cellClass(this.map, cell), 'aria-label': describe(this.map, cell),
        'aria-selected': String(firstOf(cell) === this.chosen),
      });
      made.index = i;
      return made;
    });
    const rows = [];
    for (let first = -this.offset; first < this.cells.length; first += this.columns) {
      const start = Math.max(first, 0);
      const inRow = this.cells.slice(start, first + this.columns);
      const label = firstOf(this.map.cells[start]);
      const gap = Array.from({ length: start - first }, () => element('span', { class: 'gap', 'aria-hidden': 'true' }));
      rows.push(element('div', { role: 'row', class: 'row' },
        element('div', { role: 'rowheader', class: 'label', 'aria-label': `from ${label}`, title: label }, shortened(label)), gap, inRow));
    }
    this.body.replaceChildren(...rows);
    this.move(Math.min(this.current, this.cells.length - 1), hadFocus);
  }

  // move makes a cell the one that Tab reaches.
  move(index, withFocus) {
    if (!this.cells[index]) return;
    this.cells[this.current]?.setAttribute('tabindex', '-1');
    this.current = index;
    this.cells[index].setAttribute('tabindex', '0');
    if (withFocus) this.cells[index].focus();
  }

  pressed(event) {
    if (event.ctrlKey && event.key === 'Home') return this.go(event, 0);
    if (event.ctrlKey && event.key === 'End') return this.go(event, this.cells.length - 1);
    if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
    const column = (this.current + this.offset) % this.columns;
    const rows = 8;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      Home: -column, End: this.columns - 1 - column, PageUp: -rows * this.columns, PageDown: rows * this.columns,
    };
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.choose(this.current, true);
    } else if (event.key in steps) {
      this.step(event, steps[event.key]);
    }
    return undefined;
  }

  // step moves, and stays in the column and in the grid. Home and End stop at the ends.
  step(event, by) {
    const last = this.cells.length - 1;
    let to = this.current + by;
    if (event.key === 'Home' || event.key === 'End') to = Math.min(Math.max(to, 0), last);
    while (to > last && to - this.columns > this.current) to -= this.columns;
    while (to < 0 && to + this.columns < this.current) to += this.columns;
    this.go(event, to >= 0 && to <= last ? to : this.current);
  }

  go(event, index) {
    event.preventDefault();
    this.move(index, true);
  }

  clicked(event) {
    const cell = event.target.closest('[role=gridcell]');
    if (cell) this.choose(cell.index, false);
  }

  choose(index, byKeyboard) {
    this.move(index, true);
    this.mark(firstOf(this.map.cells[index]));
    this.select(this.map, this.map.cells[index], byKeyboard);
  }

  // mark shows which cell was chosen, by its first value. It returns the cell.
  mark(first) {
    this.chosen = first;
    let found;
    this.map.cells.forEach((cell, i) => {
      const isChosen = firstOf(cell) === first;
      if (this.cells[i].getAttribute('aria-selected') !== String(isChosen)) this.cells[i].setAttribute('aria-selected', String(isChosen));
      if (isChosen) found = i;
    });
    if (found === undefined) return undefined;
    this.move(found, false);
    return this.map.cells[found];
  }

  focus() {
    this.cells[this.current]?.focus();
  }

  show(target) {
    if (target?.index !== undefined) this.hint.textContent = describe(this.map, this.map.cells[target.index]);
  }
}

// shortened leaves out what the rows of an IPv6 block have in common.
function shortened(label) {
  const most = 15;
  return label.length > most ? `…${label.slice(1 - most)}` : label;
}
