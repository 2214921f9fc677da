// What can be checked of WCAG 2.2 AA by a program. Gives the list of what is wrong.
(() => {
  const wrong = [];
  const name = (node) => node.outerHTML.slice(0, 120);
  const shown = (node) => {
    if (!node.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true })) return false;
    const box = node.getBoundingClientRect();
    return box.width > 1 && box.height > 1;
  };

  // Structure: language, title, one main, one first heading, no level left out, unique ids, references that lead somewhere.
  if (!document.documentElement.lang) wrong.push('no language');
  if (!document.title.trim()) wrong.push('no title');
  for (const [selector, count] of [['main', 1], ['h1', 1], ['body > header', 1], ['footer', 1]]) {
    const found = document.querySelectorAll(selector).length;
    if (found !== count) wrong.push(`${found} of ${selector}`);
  }
  let level = 0;
  for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    const here = Number(heading.tagName[1]);
    if (here > level + 1) wrong.push(`a level is left out before ${name(heading)}`);
    level = here;
  }
  const ids = new Set();
  for (const node of document.querySelectorAll('[id]')) {
    if (ids.has(node.id)) wrong.push(`twice the id ${node.id}`);
    ids.add(node.id);
  }
  for (const attribute of ['aria-labelledby', 'aria-describedby', 'for']) {
    for (const node of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of node.getAttribute(attribute).split(' ')) if (!ids.has(id)) wrong.push(`${attribute}=${id} leads nowhere`);
    }
  }
  for (const list of document.querySelectorAll('ul, ol')) {
    for (const child of list.children) if (child.tagName !== 'LI') wrong.push(`in a list: ${name(child)}`);
  }
  for (const table of document.querySelectorAll('table')) {
    for (const head of table.querySelectorAll('th')) if (!head.scope) wrong.push(`a heading of a table without a scope: ${name(head)}`);
  }
  for (const node of document.querySelectorAll('[onclick], [tabindex]')) {
    if (node.tabIndex > 0) wrong.push(`an order of its own: ${name(node)}`);
  }

  // Contrast of every text, 4.5 or for large ones 3; of the borders of fields and buttons 3.
  const channel = (value) => { const share = value / 255; return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; };
  const parse = (colour) => {
    const numbers = colour.match(/[\d.]+/g).map(Number);
    return { r: numbers[0], g: numbers[1], b: numbers[2], a: numbers.length > 3 ? numbers[3] : 1 };
  };
  const over = (top, below) => ({
    r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a), b: top.b * top.a + below.b * (1 - top.a), a: 1,
  });
  const background = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  };
  const light = ({ r, g, b }) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let checked = 0;
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || ['SCRIPT', 'STYLE', 'OPTION'].includes(node.tagName) || !shown(node)) continue;
    const style = getComputedStyle(node);
    const below = background(node);
    const colour = over(parse(node instanceof SVGElement ? style.fill : style.color), below);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = contrast(colour, below);
    checked += 1;
    if (found < (large ? 3 : 4.5)) wrong.push(`contrast ${found.toFixed(2)}: ${name(node)}`);
  }
  if (checked < 5) wrong.push(`only ${checked} texts`);
  for (const field of document.querySelectorAll('input:not([type=hidden]), select, button:not(.primary)')) {
    if (!shown(field)) continue;
    const found = contrast(parse(getComputedStyle(field).borderTopColor), background(field.parentElement));
    if (found < 3) wrong.push(`contrast of a border ${found.toFixed(2)}: ${name(field)}`);
  }

  // Targets of 24 by 24, links in sentences aside.
  for (const target of document.querySelectorAll('button, input:not([type=hidden]), select, nav a')) {
    const box = target.getBoundingClientRect();
    if (shown(target) && (box.width < 24 || box.height < 24)) wrong.push(`a target of ${box.width} by ${box.height}: ${name(target)}`);
  }
  // Nothing is wider than the window, except what scrolls by itself and can be reached by the keyboard.
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
  for (const node of document.querySelectorAll('main *')) {
    const style = getComputedStyle(node);
    if (/auto|scroll/.test(style.overflowX) && node.scrollWidth > node.clientWidth && node.tabIndex < 0) wrong.push(`scrolls, and no key reaches it: ${name(node)}`);
  }
  return wrong;
})()
