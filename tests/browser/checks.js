// Checks of the page in this window. Each returns a list of sentences, one a fault; an empty list means that all is well.
window.CHECKS = (() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const name = (element) => {
    const id = element.id ? `#${element.id}` : '';
    const kind = element.getAttribute('class') ? `.${element.getAttribute('class').trim().split(/\s+/).join('.')}` : '';
    const text = (element.textContent || '').trim().replace(/\s+/g, ' ').slice(0, 40);
    return `<${element.tagName.toLowerCase()}${id}${kind}>` + (text ? ` “${text}”` : '');
  };
  const visible = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });

  // ---- colours: [red, green, blue, alpha], 0 to 255 and 0 to 1
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const known = new Map();
  const colour = (text) => {
    if (!known.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = (top, below) => {
    const a = top[3] + below[3] * (1 - top[3]);
    if (a === 0) return [0, 0, 0, 0];
    return [...[0, 1, 2].map((i) => (top[i] * top[3] + below[i] * below[3] * (1 - top[3])) / a), a];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  // WCAG 2.2, "contrast ratio"
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const backdrop = (element) => {
    let found = [0, 0, 0, 0];
    for (let at = element; at && found[3] < 0.999; at = at.parentElement) {
      found = over(found, colour(getComputedStyle(at).backgroundColor));
    }
    const page = getComputedStyle(document.documentElement).colorScheme.includes('dark') && matchMedia('(prefers-color-scheme: dark)').matches;
    return over(found, page ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  };
  const opacity = (element) => {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
    return product;
  };

  const contrast = (least = 4.5) => {
    const faults = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (!node.nodeValue.trim() || !element || element.closest('script, style, noscript, title, desc, metadata, option')) continue;
      if (!visible(element)) continue;
      const style = getComputedStyle(element);
      const svg = element instanceof SVGElement;
      const behind = backdrop(element);
      let text = colour(svg ? style.fill : style.color);
      text = [text[0], text[1], text[2], text[3] * opacity(element) * (svg ? Number(style.fillOpacity) : 1)];
      const measured = ratio(over(text, behind), behind);
      if (measured < least) {
        const key = `${style.fill}${style.color}${behind}`;
        if (!faults.has(key)) faults.set(key, `${name(element)} has a contrast of ${measured.toFixed(2)} : 1`);
      }
    }
    // Letters of figures are paths: matplotlib puts each text into a group of its own.
    for (const letter of all('svg g[id*="text_"] use').filter(visible)) {
      const style = getComputedStyle(letter);
      const behind = backdrop(letter);
      const fill = colour(style.fill);
      const text = [...fill.slice(0, 3), fill[3] * opacity(letter) * Number(style.fillOpacity)];
      const measured = ratio(over(text, behind), behind);
      if (measured < least) {
        const figure = letter.closest('svg').getAttribute('aria-labelledby');
        faults.set(`${figure}${style.fill}`, `a text of ${figure} in ${style.fill} has a contrast of ${measured.toFixed(2)} : 1`);
      }
    }
    return [...faults.values()];
  };

  // ---- pictures
  const images = async () => {
    const faults = [];
    for (const image of all('img')) {
      image.loading = 'eager';
      try {
        await image.decode();
      } catch {
        faults.push(`${name(image)} (${image.alt}) is not decoded`);
      }
    }
    return faults;
  };
  const figures = () => {
    const faults = [];
    for (const svg of all('svg').filter(visible)) {
      const box = svg.getBoundingClientRect();
      const drawn = svg.getBBox();
      const marks = all('path, rect, circle, line, polyline, polygon, text, use, image', svg).length;
      if (!(box.width > 0 && box.height > 0)) faults.push(`${name(svg)} has a box of ${box.width} × ${box.height} pixels`);
      else if (!(drawn.width > 0 && drawn.height > 0 && marks)) faults.push(`${name(svg)} is empty`);
    }
    return faults;
  };
  const alternatives = () => {
    const faults = [];
    const labelled = (element) =>
      (element.getAttribute('aria-label') || '').trim() ||
      (element.getAttribute('aria-labelledby') || '').split(/\s+/).some((id) => id && document.getElementById(id)?.textContent.trim()) ||
      [...element.children].some((child) => child.tagName.toLowerCase() === 'title' && child.textContent.trim());
    for (const element of all('img, svg, canvas')) {
      if (element.closest('[aria-hidden="true"]') || element.parentElement.closest('svg')) continue;
      const kind = element.tagName.toLowerCase();
      if (kind === 'img' ? !(element.getAttribute('alt') || '').trim() : !labelled(element)) faults.push(`${name(element)} has no alternative text`);
      if (kind !== 'img' && element.getAttribute('role') !== 'img') faults.push(`${name(element)} has no role`);
    }
    return faults;
  };

  // ---- layout
  const overflow = () => {
    const wide = document.documentElement.scrollWidth;
    const room = document.documentElement.clientWidth;
    if (wide <= room) return [];
    const scrolls = (element) => {
      for (let at = element.parentElement; at && at !== document.body; at = at.parentElement) {
        if (getComputedStyle(at).overflowX !== 'visible') return true;
      }
      return false;
    };
    const causes = all('body *').filter((e) => e.getBoundingClientRect().right > room + 0.5 && !scrolls(e));
    return [`the page is ${wide} pixels wide in ${room}: ` + causes.slice(0, 5).map(name).join(', ')];
  };

  // ---- structure
  const headings = () => {
    const faults = [];
    const found = all('h1, h2, h3, h4, h5, h6');
    const tops = found.filter((heading) => heading.tagName === 'H1').length;
    if (tops !== 1) faults.push(`there are ${tops} headings of the first level`);
    let before = 0;
    for (const heading of found) {
      const level = Number(heading.tagName[1]);
      if (level > before + 1) faults.push(`${name(heading)} follows a heading of level ${before}`);
      if (!heading.textContent.trim()) faults.push(`${name(heading)} is empty`);
      before = level;
    }
    return faults;
  };
  const landmarks = () => {
    const faults = [];
    if (!document.documentElement.lang) faults.push('the page says no language');
    if (!document.title.trim()) faults.push('the page has no title');
    if (all('main, [role="main"]').length !== 1) faults.push('there is not one main part');
    const navigation = all('nav, [role="navigation"]');
    if (!navigation.length) faults.push('there is no navigation');
    for (const part of navigation) if (navigation.length > 1 && !part.ariaLabel && !part.getAttribute('aria-labelledby')) faults.push(`${name(part)} has no label`);
    if (!all('body > header, [role="banner"]').length) faults.push('there is no header');
    return faults;
  };
  const ids = () => {
    const faults = [];
    const seen = new Set();
    for (const { id } of all('[id]')) {
      if (seen.has(id)) faults.push(`the id “${id}” stands twice`);
      seen.add(id);
    }
    const wanted = (id, element) => {
      if (!seen.has(id)) faults.push(`${name(element)} refers to “${id}”, which is nowhere`);
    };
    const pattern = /url\(["']?#([^"')]+)["']?\)/g;
    for (const element of all('*')) {
      for (const attribute of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for', 'headers']) {
        for (const id of (element.getAttribute(attribute) || '').split(/\s+/).filter(Boolean)) wanted(id, element);
      }
      if (element instanceof SVGElement) {
        for (const { value } of element.attributes) for (const [, id] of value.matchAll(pattern)) wanted(id, element);
        const used = element.getAttribute('href') ?? element.getAttributeNS('http://www.w3.org/1999/xlink', 'href');
        if (used?.startsWith('#')) wanted(used.slice(1), element);
      }
    }
    return faults;
  };
  const links = () => {
    const faults = [];
    for (const link of all('a[href]:not(svg a)')) {
      const target = link.getAttribute('href');
      if (!link.textContent.trim() && !link.ariaLabel && !link.querySelector('img[alt], svg')) faults.push(`${name(link)} has no words`);
      if (target.startsWith('#')) {
        if (target === '#' || !document.getElementById(decodeURIComponent(target.slice(1)))) faults.push(`${name(link)} leads to ${target}, which is nowhere`);
      } else if (target.startsWith('data:')) {
        if (!link.download) faults.push(`${name(link)} would leave the page for its data`);
      } else if (!/^https:\/\//.test(target)) faults.push(`${name(link)} leads to ${target}`);
    }
    return faults;
  };

  // ---- keyboard
  const controls = () =>
    all('a[href], button, select, input, textarea, summary, [tabindex]').filter(
      (element) => element.tabIndex >= 0 && !element.disabled && visible(element) && !element.closest('svg'),
    );
  const mark = (style) => [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.backgroundColor, style.borderColor].join();
  const plain = new Map();
  // Called before the first key: how each control looks without the focus.
  const remember = () => {
    for (const control of controls()) plain.set(control, mark(getComputedStyle(control)));
    return plain.size;
  };
  const visited = new Set();
  const blind = [];
  // Called after each Tab: false where the focus left the page or came to a control a second time.
  const visit = () => {
    const at = document.activeElement;
    if (!at || at === document.body || visited.has(at)) return false;
    visited.add(at);
    const style = getComputedStyle(at);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    if (!outlined && plain.get(at) === mark(style)) blind.push(`${name(at)} does not show that it has the focus`);
    return true;
  };
  const keyboard = () => [
    ...blind,
    ...controls().filter((control) => !visited.has(control)).map((control) => `${name(control)} is not reached by Tab`),
  ];

  return { contrast, images, figures, alternatives, overflow, headings, landmarks, ids, links, remember, visit, keyboard };
})();
