// What a cell looks like, and what it says.

import { count, counted, holderNames, level, levels, noun } from './words.js';

// capacityOf returns how many values a cell stands for, as a text.
export function capacityOf(map, cell) {
  return cell.capacity ?? map.cellSize;
}

// firstOf returns the first value of a cell, by which the server knows it.
export function firstOf(cell) {
  return cell.first ?? cell.text;
}

// isValue reports whether a cell is one value.
export function isValue(cell) {
  return cell.first === undefined;
}

// cellClass returns the classes of a cell.
export function cellClass(map, cell) {
  const allocated = cell.allocated ?? 0;
  return ['cell', `level${level(allocated, capacityOf(map, cell))}`,
    cell.static && 'static',
    cell.reserved && (cell.reserved === allocated ? 'reserved' : 'some-reserved'),
    cell.marked && 'marked'].filter(Boolean).join(' ');
}

// describe says in words what a cell shows.
export function describe(map, cell) {
  const band = cell.static ? ', in the static band' : '';
  if (isValue(cell)) {
    if (!cell.allocated) return `${cell.text}, free${band}`;
    if (!cell.claim) return `${cell.text}, allocated${band}`;
    return `${cell.text}, ${cell.claim.held ? 'held by' : 'reserved for'} ${holderNames(cell.claim)}${band}`;
  }
  const capacity = capacityOf(map, cell);
  const parts = [`${cell.text}, ${count(cell.allocated ?? 0)} of ${count(capacity)} ${noun(map.class, capacity)} allocated`];
  if (cell.reserved) parts.push(`${count(cell.reserved)} reserved`);
  if (cell.static) parts.push(`${counted(cell.static, 'value')} in the static band`);
  return parts.join(', ');
}

// scale returns the steps that the cells of a map can have, as [class, words].
export function scale(map) {
  const single = map.cellSize === '1';
  const steps = single ? [[0, 'free'], [6, 'held']] : levels.map((words, step) => [step, words]);
  return [
    ...steps.map(([step, words]) => [`cell level${step}`, words]),
    map.static && ['cell level0 static', 'static band'],
    map.reserved && [single ? 'cell level6 reserved' : 'cell level2 some-reserved', single ? 'reserved' : 'some reserved'],
  ].filter(Boolean);
}
