// Making elements. Texts become text nodes, never markup.

// element returns an element. Attributes that are null or false are left out.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// address returns the fragment of a view with parameters.
export function address(view, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const query = new URLSearchParams(given).toString();
  return `#/${view}${query ? `?${query}` : ''}`;
}

// link returns a link to a view.
export function link(view, parameters, ...children) {
  return element('a', { href: address(view, parameters) }, ...children);
}

// replace puts other children into an element. What had the focus keeps it if there is
// an element with the same address or id.
export function replace(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  parent.replaceChildren(...children.filter(Boolean));
  if (!focused || parent.contains(focused)) return;
  const same = [...parent.querySelectorAll('a[href], [id]')].find((candidate) => (
    focused.id ? candidate.id === focused.id : candidate.getAttribute('href') === focused.getAttribute('href')));
  same?.focus({ preventScroll: true });
}

// table returns a table with a caption for screen readers. The first cell of a row is its
// header.
export function table(caption, columns, rows) {
  const line = (cells) => element('tr', {}, cells.map((cell, i) => (
    element(i === 0 ? 'th' : 'td', i === 0 ? { scope: 'row' } : {}, cell))));
  return element('div', { class: 'scroll', id: caption, tabindex: '0', role: 'region', 'aria-label': caption },
    element('table', {},
      element('caption', { class: 'hidden' }, caption),
      element('thead', {}, element('tr', {}, columns.map((column) => element('th', { scope: 'col' }, column)))),
      element('tbody', {}, rows.map(line))));
}
