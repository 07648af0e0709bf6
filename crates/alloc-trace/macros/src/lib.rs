//! The attribute `alloc_budget`. It is part of `alloc-trace`, which has its documentation and what it expands to.
//!
//! Written against the compiler's own tokens: it has to find a function's body and what it returns, and nothing else of Rust's grammar.
#![forbid(unsafe_code)]

use proc_macro::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};

mod arguments;

use arguments::{Arguments, Scope};

/// Gives a function an allocation budget: see `alloc_trace::alloc_budget`.
#[proc_macro_attribute]
pub fn alloc_budget(arguments: TokenStream, function: TokenStream) -> TokenStream {
    match expand(arguments, function.clone()) {
        Ok(expanded) => expanded,
        // The function stays, so that nothing else is reported than what is wrong.
        Err(error) => error.to_tokens().into_iter().chain(function).collect(),
    }
}

/// What is wrong, and where.
struct Error {
    message: String,
    span: Span,
}

impl Error {
    fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), span }
    }

    fn to_tokens(&self) -> TokenStream {
        let tokens: TokenStream =
            format!("::core::compile_error!{{{:?}}}", self.message).parse().expect("a macro call with a string");
        spanned(tokens, self.span)
    }
}

/// All tokens, as if they stood there.
fn spanned(tokens: TokenStream, span: Span) -> TokenStream {
    let at = |mut token: TokenTree| {
        if let TokenTree::Group(group) = &token {
            token = TokenTree::Group(Group::new(group.delimiter(), spanned(group.stream(), span)));
        }
        token.set_span(span);
        token
    };
    tokens.into_iter().map(at).collect()
}

fn expand(arguments: TokenStream, function: TokenStream) -> Result<TokenStream, Error> {
    let arguments = parse_arguments(arguments)?;
    let function = Function::parse(function)?;
    match (arguments.scope, function.is_async) {
        (Scope::Thread, true) => {
            return Err(Error::new(
                "an async function may go on in another thread: leave the scope out, or write `scope = task`",
                Span::call_site(),
            ));
        }
        (Scope::Task, false) => {
            return Err(Error::new(
                "this function is not async, it runs in one thread: leave the scope out, or write `scope = thread`",
                Span::call_site(),
            ));
        }
        (Scope::Process, true) => {
            return Err(Error::new(
                "the whole process is measured for functions that are not async: between its polls others run",
                Span::call_site(),
            ));
        }
        _ => {}
    }
    let mut budget: TokenStream = "::alloc_trace::Budget::new()".parse().expect("an expression");
    if arguments.scope == Scope::Process {
        budget.extend(parse(".whole_process()"));
    }
    for (limit, value) in arguments.limits {
        budget.extend(parse(&format!(".{limit}")));
        budget.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, value))]);
    }
    Ok(function.rewrite(budget))
}

fn parse(text: &str) -> TokenStream {
    text.parse().expect("tokens")
}

/// `key = value` pairs, as tokens.
fn parse_arguments(tokens: TokenStream) -> Result<Arguments<TokenStream>, Error> {
    let mut pairs = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let span = token.span();
        let TokenTree::Ident(key) = token else {
            return Err(Error::new(arguments::EXAMPLE, span));
        };
        let key = key.to_string();
        match tokens.next() {
            Some(TokenTree::Punct(equals)) if equals.as_char() == '=' && equals.spacing() == Spacing::Alone => {}
            other => {
                let span = other.map_or(span, |token| token.span());
                return Err(Error::new(format!("`{key}` needs a value: write `{key} = ...`"), span));
            }
        }
        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',');
        let mut value = Vec::new();
        while let Some(token) = tokens.next_if(|token| !is_comma(token)) {
            value.push(token);
        }
        tokens.next();
        if value.is_empty() {
            return Err(Error::new(format!("`{key}` needs a value: write `{key} = ...`"), span));
        }
        let text = value.iter().map(ToString::to_string).collect::<String>();
        pairs.push((key, text, value.into_iter().collect::<TokenStream>(), span));
    }
    let mut spans: Vec<Span> = pairs.iter().map(|pair| pair.3).collect();
    spans.push(Span::call_site());
    let pairs = pairs.into_iter().map(|(key, text, value, _)| (key, text, value));
    Arguments::new(pairs).map_err(|wrong| Error::new(wrong.message, spans[wrong.index.min(spans.len() - 1)]))
}

/// A function, as far as we have to know it.
struct Function {
    tokens: TokenStream,
    is_async: bool,
    /// Between `->` and the body or `where`; empty if there is none.
    returns: TokenStream,
}

impl Function {
    fn parse(tokens: TokenStream) -> Result<Self, Error> {
        let wrong = || {
            Error::new("a budget is a function's: put `#[alloc_budget(..)]` on a `fn` with a body", Span::call_site())
        };
        let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let word = |tree: &TokenTree| match tree {
            TokenTree::Ident(ident) => ident.to_string(),
            _ => String::new(),
        };
        let keyword = trees.iter().position(|tree| word(tree) == "fn").ok_or_else(wrong)?;
        if let Some(constant) = trees[..keyword].iter().find(|tree| word(tree) == "const") {
            return Err(Error::new(
                "a const function can't have a budget: what it calls doesn't allocate",
                constant.span(),
            ));
        }
        if !matches!(trees.last(), Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace) {
            return Err(wrong());
        }
        let is_async = trees[..keyword].iter().any(|tree| word(tree) == "async");
        let parameters = parameters(&trees, keyword).ok_or_else(wrong)?;
        let mut rest = trees[parameters + 1..trees.len() - 1].iter().peekable();
        let mut returns = TokenStream::new();
        if matches!(rest.peek(), Some(TokenTree::Punct(dash)) if dash.as_char() == '-') {
            returns.extend(rest.skip(2).take_while(|tree| word(tree) != "where").cloned());
        }
        Ok(Self { tokens, is_async, returns })
    }

    /// Puts the body under the budget.
    fn rewrite(self, budget: TokenStream) -> TokenStream {
        let mut trees: Vec<TokenTree> = self.tokens.into_iter().collect();
        let body = trees.pop();
        let mut work = if self.is_async { parse("async move") } else { parse("move ||") };
        // So that `?` knows what to convert to. An `impl Trait` can't be named there; then it is what the body says.
        if !self.is_async && !self.returns.is_empty() && !mentions(self.returns.clone(), "impl") {
            work.extend(parse("->"));
            work.extend(self.returns);
        }
        work.extend(body);
        let mut call = budget;
        call.extend(parse(if self.is_async { ".wrap" } else { ".check" }));
        call.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, work))]);
        if self.is_async {
            call.extend(parse(".await"));
        }
        trees.push(TokenTree::Group(Group::new(Delimiter::Brace, call)));
        trees.into_iter().collect()
    }
}

/// Where a function's parameters are: the first parentheses behind its name that are not within its generics.
fn parameters(trees: &[TokenTree], keyword: usize) -> Option<usize> {
    let mut depth = 0;
    let mut dash = false;
    for (index, tree) in trees.iter().enumerate().skip(keyword) {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis && depth == 0 => return Some(index),
            TokenTree::Punct(punct) => {
                match punct.as_char() {
                    '<' => depth += 1,
                    // The arrow of `Fn() -> T` closes nothing.
                    '>' if !dash => depth -= 1,
                    _ => {}
                }
                dash = punct.as_char() == '-';
            }
            _ => dash = false,
        }
    }
    None
}

fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => ident.to_string() == word,
        TokenTree::Group(group) => mentions(group.stream(), word),
        _ => false,
    })
}
