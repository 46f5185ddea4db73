// A range: its figures, a map or a table of each block, and what is in the chosen cell.

import { element, address, link, replace, table } from './dom.js';
import { chips, fact } from './overview.js';
import { capacityOf, firstOf, isValue, scale } from './cells.js';
import { Grid } from './grid.js';
import { holderLinks } from './holder.js';
import { cellPanel, namespacePanel } from './inspector.js';
import { age, count, counted, noun, percent, state } from './words.js';

// view is the range that is shown, with the parts of the page that live on while its
// figures change.
let view = null;

export function showRange(main, range, parameters, isNew) {
  const part = ['kind', 'name', 'at', 'depth'].map((name) => parameters.get(name)).join(' ');
  if (view?.part !== part || !main.contains(view.root)) view = new RangeView(main, part, view?.asTable ?? false);
  view.update(range, parameters);
  if (isNew) view.reveal(parameters.get('cell'));
}

class RangeView {
  constructor(main, part, asTable) {
    this.part = part;
    this.asTable = asTable;
    this.grids = [];
    this.head = element('div', {});
    this.figures = element('div', { class: 'figures' });
    this.cell = element('div', {}, element('p', { class: 'panel muted' }, 'Choose a cell to see who holds it.'));
    this.namespaces = element('div', {});
    this.root = element('div', { class: 'range' }, this.head,
      element('div', { class: 'columns' }, this.figures, element('aside', { 'aria-label': 'Details' }, this.cell, this.namespaces)));
    this.root.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !this.figures.contains(event.target)) this.back(event);
    });
    replace(main, this.root);
  }

  update(range, parameters) {
    const isSame = this.range && this.range.maps.length === range.maps.length;
    this.range = range;
    this.parameters = parameters;
    this.root.classList.toggle('disabled', range.usages[0].allocation === 'Disabled');
    this.root.classList.toggle('highlighting', Boolean(parameters.get('namespace')));
    replace(this.head, ...this.heading());
    replace(this.namespaces, namespacePanel(range, parameters));
    if (!isSame) this.grids = [];
    this.draw();
  }

  heading() {
    const { range } = this;
    const [map] = range.maps;
    const steps = this.parameters.get('at') ? map.path : map.path.slice(0, 1);
    const path = [
      element('li', {}, link('ranges', {}, 'All ranges')),
      element('li', {}, link('range', { kind: range.kind, name: range.name }, `${range.kind} ${range.name}`)),
      ...(this.parameters.get('at') ? steps.map((step, depth) => element('li', {}, depth === steps.length - 1
        ? element('span', { 'aria-current': 'page' }, step.text)
        : link('range', { kind: range.kind, name: range.name, at: step.first, depth }, step.text))) : []),
    ];
    return [
      element('nav', { 'aria-label': 'Path' }, element('ol', { class: 'path' }, path)),
      element('div', { class: 'title' }, element('h1', {}, range.name), chips(range.usages)),
      this.draining(),
      element('div', { class: 'bar' }, ...this.switches()),
    ];
  }

  draining() {
    if (this.range.usages[0].allocation !== 'Disabled') return null;
    const services = this.range.maps.reduce((sum, map) => sum + map.services, 0);
    return element('p', { class: 'notice' }, services === 0
      ? 'Disabled: no Service gets a value of this range, and none holds one.'
      : `Disabled: no Service gets a value of this range. ${counted(services, 'Service')} still ${services === 1 ? 'holds' : 'hold'} values here.`);
  }

  switches() {
    return [['Map', false], ['Table', true]].map(([name, asTable]) => {
      const button = element('button', { type: 'button', id: `as-${name}`, 'aria-pressed': String(this.asTable === asTable) }, name);
      button.addEventListener('click', () => {
        this.asTable = asTable;
        this.grids = [];
        this.update(this.range, this.parameters);
      });
      return button;
    });
  }

  draw() {
    const { maps } = this.range;
    if (this.asTable) {
      replace(this.figures, ...maps.map((map) => element('section', { class: 'panel' }, this.caption(map), cellTable(this.range, map))));
      return;
    }
    if (this.grids.length === 0) {
      this.grids = maps.map((map) => new Grid(`Map of ${map.path.at(-1).text}`, (...chosen) => this.choose(...chosen)));
      this.captions = maps.map(() => element('div', {}));
      replace(this.figures, ...maps.map((map, i) => element('section', { class: 'panel' }, this.captions[i], this.grids[i].node)));
    }
    maps.forEach((map, i) => {
      replace(this.captions[i], this.caption(map), legend(map));
      this.grids[i].update(map);
    });
    this.refreshCell();
  }

  caption(map) {
    const usage = this.range.usages.find((one) => one.class === map.class);
    return element('div', { class: 'caption' },
      element('h2', {}, map.path.at(-1).text),
      element('dl', { class: 'facts wide' },
        fact('Allocated', element('strong', {}, percent(map.allocated, map.capacity)), ` ${count(map.allocated ?? 0)} of ${count(map.capacity)}`),
        fact('Free', count(BigInt(map.capacity) - BigInt(map.allocated ?? 0))),
        fact('Reserved', count(map.reserved ?? 0)),
        fact('Services', count(map.services)),
        map.static && fact('Static band', counted(map.static, 'value')),
        fact('New in the last hour', count(usage.newInLastHour), this.parameters.get('at') ? ' in the range' : '')),
      element('p', { class: 'muted' }, map.cellSize === '1'
        ? `A cell is one ${noun(map.class, 1)}.`
        : `A cell is ${count(map.cellSize)} ${noun(map.class, map.cellSize)}. Its color says how many of them are allocated.`));
  }

  choose(map, cell, byKeyboard) {
    this.grids.filter((grid) => grid.map !== map).forEach((grid) => grid.mark(''));
    this.chosen = { index: this.range.maps.indexOf(map), first: firstOf(cell), claims: null, version: '' };
    const parameters = new URLSearchParams(this.parameters);
    parameters.set('cell', this.chosen.first);
    history.replaceState(null, '', address('range', Object.fromEntries(parameters)));
    this.parameters = parameters;
    this.refreshCell();
    if (byKeyboard) this.cell.querySelector('h2')?.focus();
  }

  // reveal chooses the cell that the address names, and moves to it.
  reveal(first) {
    if (!first || this.asTable) return;
    const index = this.grids.findIndex((grid) => grid.mark(first));
    if (index < 0) return;
    this.chosen = { index, first, claims: null, version: '' };
    this.refreshCell();
    this.grids[index].focus();
  }

  refreshCell() {
    const { chosen, range } = this;
    if (!chosen) return;
    const map = range.maps[chosen.index];
    const cell = map?.cells.find((one) => firstOf(one) === chosen.first);
    if (!cell) return;
    replace(this.cell, cellPanel(range, map, cell, chosen.claims));
    if (!isValue(cell) && cell.allocated) this.load(map, chosen);
  }

  // load asks for the claims of a cell that has more than one value.
  async load(map, chosen) {
    const parameters = new URLSearchParams({ kind: this.range.kind, name: this.range.name, at: chosen.first, depth: map.path.length });
    const response = await fetch(`api/range?${parameters}`).catch(() => null);
    const text = response?.ok ? await response.text() : '';
    if (!text || this.chosen !== chosen || text === chosen.version) return;
    chosen.version = text;
    chosen.claims = JSON.parse(text).maps[0].claims;
    const now = this.range.maps[chosen.index];
    const cell = now?.cells.find((one) => firstOf(one) === chosen.first);
    if (cell) replace(this.cell, cellPanel(this.range, now, cell, chosen.claims));
  }

  back(event) {
    const grid = this.grids[this.chosen?.index ?? 0];
    if (!grid) return;
    event.preventDefault();
    grid.focus();
  }
}

function legend(map) {
  return element('ul', { class: 'legend', 'aria-hidden': 'true' }, scale(map).map(([name, words]) => (
    element('li', {}, element('i', { class: name }), words))));
}

// cellTable has the cells of a map that are not empty.
function cellTable(range, map) {
  const taken = map.cells.filter((cell) => cell.allocated);
  const caption = `${map.path.at(-1).text}: what is allocated`;
  if (taken.length === 0) return element('p', { class: 'muted' }, 'Nothing is allocated.');
  if (map.cellSize === '1') {
    return table(caption, ['Value', 'State', 'Holder', 'Created'], taken.map((cell) => [
      cell.text + (cell.static ? ' (static band)' : ''), state(cell.claim), holderLinks(cell.claim),
      element('time', { datetime: cell.claim.created, title: cell.claim.created }, age(cell.claim.created)),
    ]));
  }
  return table(caption, ['Block', 'Allocated', 'Of', 'Share', 'Reserved'], taken.map((cell) => [
    link('range', { kind: range.kind, name: range.name, at: firstOf(cell), depth: map.path.length }, cell.text),
    count(cell.allocated), count(capacityOf(map, cell)), percent(cell.allocated, capacityOf(map, cell)), count(cell.reserved ?? 0),
  ]));
}
