// What a search finds.

import { element, link, replace, table } from './dom.js';
import { claimsTable, holderLink, holderLinks, valueLink } from './holder.js';
import { count, counted, noun } from './words.js';

export function showSearch(main, found, parameters) {
  const text = parameters.get('q') ?? '';
  const all = found.values.length + found.claimCount + found.holderCount + found.rangeCount;
  replace(main,
    element('h1', {}, text ? `Search: ${text}` : 'Search'),
    element('p', { role: 'status', id: 'found' }, text
      ? (all === 0 ? 'Nothing was found.' : summary(found))
      : 'Type an address or the beginning of one, a port, a CIDR, or a part of the name of a Service, a namespace or a range.'),
    found.values.length > 0 && section('This value', found.values.length, found.values.length,
      element('ul', { class: 'values' }, found.values.map((value) => element('li', {}, ...valueLine(value))))),
    found.holderCount > 0 && section('Holders', found.holderCount, found.holders.length,
      table('Holders', ['Holder', 'Values'], found.holders.map((entry) => [holderLink(entry.holder), count(entry.claims)]))),
    found.rangeCount > 0 && section('Ranges', found.rangeCount, found.ranges.length,
      element('ul', {}, found.ranges.map((range) => element('li', {}, link('range', range, `${range.kind}/${range.name}`))))),
    found.claimCount > 0 && section('Claimed values', found.claimCount, found.claims.length,
      claimsTable('Claimed values', found.claims)));
}

function summary(found) {
  return [
    found.values.length > 0 && valueWords(found.values[0]),
    found.holderCount > 0 && counted(found.holderCount, 'holder'),
    found.rangeCount > 0 && counted(found.rangeCount, 'range'),
    found.claimCount > 0 && counted(found.claimCount, 'claimed value'),
  ].filter(Boolean).join(', ');
}

function valueWords(value) {
  if (!value.claim) return `${value.value} is free`;
  return `${value.value} is ${value.claim.held ? 'held' : 'reserved'}`;
}

function valueLine(value) {
  const where = value.ranges.flatMap((range, i) => [i > 0 ? ', ' : ' in ',
    link('range', { ...range, at: value.value, cell: value.value }, `${range.kind}/${range.name}`)]);
  const line = [valueLink(value, value.ranges[0]), ` (${noun(value.class, 1)})`, where.length ? where : ', in no range'];
  if (!value.claim) return [...line.flat(), ' is free.'];
  return [...line.flat(), value.claim.held ? ' is held by ' : ' is reserved for ', ...holderLinks(value.claim), '.'];
}

function section(title, number, shown, content) {
  return element('section', {},
    element('h2', {}, title, ' ', element('span', { class: 'muted' }, count(number))),
    content,
    number > shown && element('p', { class: 'muted' }, `The first ${count(shown)} are shown.`));
}
