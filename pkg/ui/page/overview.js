// The overview: each range with its figures and small maps.

import { element, link, replace } from './dom.js';
import { cellClass } from './cells.js';
import { holderLinks } from './holder.js';
import { count, noun, percent } from './words.js';

export function showOverview(main, { ranges, outside, outsideCount }) {
  const kinds = Map.groupBy(ranges, (range) => range.kind);
  replace(main, element('h1', { class: 'hidden' }, 'Ranges'),
    ...[...kinds].map(([kind, ofKind]) => element('section', { 'aria-labelledby': `kind-${kind}` },
      element('h2', { id: `kind-${kind}` }, `${kind}s`, element('span', { class: 'muted' }, ` ${ofKind.length}`)),
      element('ul', { class: 'cards' }, ofKind.map((range) => element('li', {}, card(range)))))),
    ranges.length === 0 && element('p', { class: 'muted' }, 'No range is known.'),
    outsideCount > 0 && element('section', { 'aria-labelledby': 'outside' },
      element('h2', { id: 'outside' }, 'Outside all ranges', element('span', { class: 'muted' }, ` ${count(outsideCount)}`)),
      element('p', { class: 'muted' }, 'Claimed values that lie in no range.'),
      element('ul', {}, outside.map((claim) => element('li', {}, claim.value, claim.held ? ' of ' : ' for ', holderLinks(claim)))),
      outsideCount > outside.length && element('p', { class: 'muted' }, `The first ${count(outside.length)} are shown.`)));
}

function card(range) {
  return element('article', { class: 'card' },
    element('header', {},
      element('h3', {}, link('range', { kind: range.kind, name: range.name }, range.name)),
      chips(range.usages)),
    range.usages.map((usage) => part(usage, range.maps.filter((map) => map.class === usage.class))));
}

// chips are what is special about a range.
export function chips(usages) {
  const [first] = usages;
  const reserved = usages.reduce((sum, usage) => sum + usage.reserved, 0);
  const special = [
    first.allocation !== 'Automatic' && ['allocation', first.allocation === 'Disabled' ? 'Disabled: draining' : first.allocation],
    reserved > 0 && ['reserved', `${count(reserved)} reserved`],
    ...first.conditions.map((condition) => ['condition', condition]),
  ].filter(Boolean);
  return special.length > 0 && element('ul', { class: 'chips' },
    special.map(([sort, text]) => element('li', { class: `chip ${sort}`, 'data-text': text }, text)));
}

function part(usage, maps) {
  const capacity = maps.reduce((sum, map) => sum + BigInt(map.capacity), 0n);
  return element('div', { class: 'part' },
    element('p', { class: 'blocks' }, usage.blocks.join(', ')),
    element('p', { class: 'fill' },
      element('strong', {}, percent(usage.allocated, capacity)),
      element('span', {}, ` ${count(usage.allocated)} of ${count(capacity)} ${noun(usage.class, capacity)}`)),
    element('div', { 'aria-hidden': 'true' }, maps.map((map) => thumbnail(map, usage))),
    facts(usage));
}

function thumbnail(map, usage) {
  const few = 64;
  const classes = ['thumbnail', map.cells.length <= few && 'few', usage.allocation === 'Disabled' && 'disabled'];
  return element('div', { class: classes.filter(Boolean).join(' ') }, map.cells.map((cell) => element('i', { class: cellClass(map, cell) })));
}

function facts(usage) {
  const namespaces = usage.namespaces.slice(0, 3).map((entry) => `${entry.namespace} ${count(entry.allocated)}`);
  const more = usage.namespaces.length - namespaces.length;
  return element('dl', { class: 'facts' },
    usage.staticCapacity > 0 && fact('Static band', `${count(usage.staticAllocated)} of ${count(usage.staticCapacity)}`),
    fact('New in the last hour', count(usage.newInLastHour)),
    namespaces.length > 0 && fact('Namespaces', namespaces.join(', ') + (more > 0 ? `, ${more} more` : '')));
}

export function fact(name, ...value) {
  return element('div', {}, element('dt', {}, name), element('dd', {}, ...value));
}
