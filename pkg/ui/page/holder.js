// A holder, and everything that it holds.

import { element, link, replace, table } from './dom.js';
import { age, counted, holderName, isService, state } from './words.js';

export function showHolder(main, { holder, claims }) {
  replace(main,
    element('nav', { 'aria-label': 'Path' }, element('ol', { class: 'path' },
      element('li', {}, link('ranges', {}, 'All ranges')), element('li', { 'aria-current': 'page' }, holderName(holder)))),
    element('h1', {}, holderName(holder)),
    isService(holder) && element('p', { class: 'muted' }, holder.resource),
    claims.length === 0
      ? element('p', {}, 'It holds no value, and none is reserved for it.')
      : claimsTable(`${holderName(holder)} has ${counted(claims.length, 'value')}`, claims),
    isService(holder) && element('p', {}, element('code', { class: 'command' },
      `kubectl describe ${holder.resource} ${holder.name} -n ${holder.namespace}`)));
}

// claimsTable lists claims of several ranges.
export function claimsTable(caption, claims) {
  return table(caption, ['Value', 'State', 'Ranges', 'Created'], claims.map((claim) => [
    valueLink(claim, claim.ranges[0]),
    state(claim),
    claim.ranges.length === 0 ? 'in no range' : claim.ranges.flatMap((range, i) => [
      i > 0 && ', ', link('range', { kind: range.kind, name: range.name, at: claim.value, cell: claim.value }, `${range.kind}/${range.name}`)]),
    element('time', { datetime: claim.created, title: claim.created }, age(claim.created)),
  ]));
}

// valueLink leads from a value to its cell in a range, if one has it.
export function valueLink(claim, range) {
  if (!range) return claim.value;
  return link('range', { kind: range.kind, name: range.name, at: claim.value, cell: claim.value }, claim.value);
}

// holderLinks lead from a claim to its holders.
export function holderLinks(claim) {
  if (claim.holders.length === 0) return ['nobody'];
  return claim.holders.flatMap((holder, i) => (i > 0 ? [', ', holderLink(holder)] : [holderLink(holder)]));
}

export function holderLink(holder) {
  return link('holder', { resource: holder.resource, namespace: holder.namespace, name: holder.name }, holderName(holder));
}
