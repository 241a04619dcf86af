//! Cycles of a directed graph: its strongly connected components of more than one node (Tarjan 1972).

use std::collections::{BTreeMap, BTreeSet};

/// A graph by name.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// Every group of nodes that reach each other.
pub fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let mut search = Search { graph, order: BTreeMap::new(), low: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
    for node in graph.keys() {
        if !search.order.contains_key(node.as_str()) {
            search.visit(node);
        }
    }
    search.found
}

struct Search<'a> {
    graph: &'a Graph,
    order: BTreeMap<&'a str, usize>,
    low: BTreeMap<&'a str, usize>,
    stack: Vec<&'a str>,
    found: Vec<Vec<String>>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, node: &'a str) {
        let number = self.order.len();
        self.order.insert(node, number);
        self.low.insert(node, number);
        self.stack.push(node);
        for target in self.graph.get(node).into_iter().flatten() {
            if !self.order.contains_key(target.as_str()) {
                self.visit(target);
                self.low.insert(node, self.low[node].min(self.low[target.as_str()]));
            } else if self.stack.contains(&target.as_str()) {
                self.low.insert(node, self.low[node].min(self.order[target.as_str()]));
            }
        }
        if self.low[node] == number {
            let start = self.stack.iter().position(|other| *other == node).unwrap_or_default();
            let group: Vec<String> = self.stack.drain(start..).map(str::to_owned).collect();
            if group.len() > 1 {
                self.found.push(group);
            }
        }
    }
}

/// Lists the cycles with the imports that make them, one per line; empty without a cycle.
pub fn describe(graph: &Graph) -> String {
    let mut text = String::new();
    for group in cycles(graph) {
        text += &format!("cycle of {}:\n", group.len());
        for node in &group {
            let targets: Vec<&str> = graph[node].iter().filter(|target| group.contains(*target)).map(String::as_str).collect();
            text += &format!("  {node} imports {}\n", targets.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_found_and_a_diamond_is_not_one() {
        let graph = |edges: &[(&str, &str)]| {
            let mut graph = Graph::new();
            for (from, to) in edges {
                graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
                graph.entry((*to).to_owned()).or_default();
            }
            graph
        };
        assert_eq!(describe(&graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])), "");
        let found = cycles(&graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]));
        assert_eq!(found, [["b", "c"]]);
    }
}
