// The side of a range: the chosen cell with its holders, and the namespaces.

import { element, address, link } from './dom.js';
import { capacityOf, firstOf, isValue } from './cells.js';
import { holderLinks } from './holder.js';
import { age, count, counted, isService, noun, percent, until } from './words.js';

// cellPanel shows a cell. Claims are those in it; they come later for a cell of many values.
export function cellPanel(range, map, cell, claims) {
  return element('section', { class: 'panel', 'aria-labelledby': 'cell-title' },
    element('h2', { id: 'cell-title', tabindex: '-1' }, cell.text),
    isValue(cell) ? valueFacts(cell) : blockFacts(range, map, cell, claims),
    element('p', { class: 'muted small' }, 'Escape leads back to the map.'));
}

function valueFacts(cell) {
  const band = cell.static ? ' It is in the static band, from which values are picked last.' : '';
  if (!cell.claim) return element('p', {}, `Free.${band}`);
  const { claim } = cell;
  return element('div', {},
    element('p', {}, claim.held ? 'Held by ' : 'Reserved for ', ...holderLinks(claim), '.', band),
    element('p', { class: 'muted' }, 'Claimed ', element('time', { datetime: claim.created, title: claim.created }, age(claim.created)), '.'),
    claim.expires && element('p', { class: 'muted' }, 'The reservation ends ',
      element('time', { datetime: claim.expires, title: claim.expires }, until(claim.expires)), '.'),
    claim.held && claim.holders.filter(isService).map((holder) => element('code', { class: 'command' },
      `kubectl describe ${holder.resource} ${holder.name} -n ${holder.namespace}`)));
}

function blockFacts(range, map, cell, claims) {
  const capacity = capacityOf(map, cell);
  const depth = map.path.length;
  return element('div', {},
    element('p', {}, element('strong', {}, percent(cell.allocated, capacity)),
      ` ${count(cell.allocated ?? 0)} of ${count(capacity)} ${noun(map.class, capacity)}`, cell.reserved ? `, ${count(cell.reserved)} reserved` : '', '.'),
    element('p', {}, link('range', { kind: range.kind, name: range.name, at: firstOf(cell), depth }, `Zoom in to ${cell.text}`)),
    cell.allocated > 0 && (claims ? claimList(range, claims, cell.allocated) : element('p', { class: 'muted' }, 'Loading…')));
}

function claimList(range, claims, total) {
  return element('div', {},
    element('ul', { class: 'claims' }, claims.map((claim) => element('li', {},
      link('range', { kind: range.kind, name: range.name, at: claim.value, cell: claim.value }, claim.value), ' ',
      claim.held ? '' : 'for ', holderLinks(claim)))),
    total > claims.length && element('p', { class: 'muted' }, `The first ${count(claims.length)} are shown. Zoom in, or search.`));
}

// namespacePanel shows who has how much, and highlights the values of one namespace.
export function namespacePanel(range, parameters) {
  const totals = new Map();
  for (const usage of range.usages) {
    for (const entry of usage.namespaces) totals.set(entry.namespace, (totals.get(entry.namespace) ?? 0) + entry.allocated);
  }
  const sorted = [...totals].sort((a, b) => b[1] - a[1]);
  const most = sorted[0]?.[1] ?? 1;
  const marked = parameters.get('namespace') ?? '';
  const shown = sorted.slice(0, 30);
  return element('section', { class: 'panel', 'aria-labelledby': 'namespaces-title' },
    element('h2', { id: 'namespaces-title' }, 'Namespaces'),
    sorted.length === 0 && element('p', { class: 'muted' }, 'No Service holds a value.'),
    element('ul', { class: 'namespaces' }, shown.map(([namespace, allocated]) => {
      const isMarked = namespace === marked;
      const meter = element('meter', { min: 0, max: most, value: allocated, 'aria-hidden': 'true' });
      return element('li', {}, element('a', {
        href: address('range', { ...Object.fromEntries(parameters), cell: '', namespace: isMarked ? '' : namespace }),
        id: `namespace-${namespace}`, 'aria-current': isMarked ? 'true' : null, title: isMarked ? 'Show all' : `Highlight the values of ${namespace}`,
      }, element('span', {}, namespace), meter, element('span', { class: 'number' }, count(allocated))));
    })),
    sorted.length > shown.length && element('p', { class: 'muted' }, `${counted(sorted.length - shown.length, 'namespace')} more.`));
}
